// What a reader chose for this browser: the only thing that the page keeps there.

const KEY = "tollhouse.preferences";
const listeners = new Set();
let chosen = read();

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {}; // none were kept, or they may not be
  }
}

/** A preference; undefined where nothing was chosen. */
export const preference = (name) => chosen[name];

export function prefer(name, value) {
  chosen = { ...chosen, [name]: value };
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // It is so until the page is left.
  }
  apply();
  for (const told of listeners) told();
}

/** Calls `told` after each choice; answers what ends that. */
export function onPreference(told) {
  listeners.add(told);
  return () => listeners.delete(told);
}

/** The theme that was chosen goes before that of the system. */
export function apply() {
  const theme = preference("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}
