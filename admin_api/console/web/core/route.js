// Where the reader is: what stands behind # in the address, as a path with parameters (#/keys/12?p=2).

import { useEffect, useState } from "./view.js";

/** {path, parts, query} of the address. */
export function place() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", parts: path.split("/").filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

/** The address of a path, for links. */
export function to(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#${path}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

export function go(path, parameters) {
  location.hash = to(path, parameters);
}

/** Changes parameters of the present address: filters and pages belong there, so that they can be sent to somebody. */
export function refine(changes) {
  const { path, query } = place();
  history.replaceState(null, "", to(path, { ...Object.fromEntries(query), ...changes }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The present place, whenever it changes. */
export function usePlace() {
  const [now, setNow] = useState(place);
  useEffect(() => {
    const moved = () => setNow(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return now;
}
