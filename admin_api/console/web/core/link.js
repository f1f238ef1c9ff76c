// Links in e-mails: /link#verify=…, #reset=…, #invite=…
//
// What stands behind the = is a secret, and never leaves the browser in an address.

import { Failure } from "./api.js";

const PURPOSES = ["verify", "reset", "invite"];

/** {purpose, secret} of the present address, null where it is no link's; the purpose of one that is not whole is empty. */
export function readLink() {
  if (!/^\/link\/?$/.test(location.pathname) || location.hash.startsWith("#/")) return null;
  const [, purpose, secret] = location.hash.match(/^#(\w+)=([\w-]+)$/) ?? [];
  return PURPOSES.includes(purpose) ? { purpose, secret } : { purpose: "", secret: "" };
}

/** Takes the secret out of the address and of the history. */
export const forgetLink = () => history.replaceState(null, "", "/");

/** The secret of an invite that somebody pasted, whole or as a link. */
export const inviteIn = (pasted) => pasted.trim().match(/[#?&]invite=([\w-]+)/)?.[1] ?? pasted.trim();

/** Why signing in with a provider failed, which led here: as a failure of a call, once; else null. */
export function takeRefusal() {
  const told = document.querySelector('meta[name="refused"]');
  if (!told) return null;
  told.remove();
  history.replaceState(null, "", "/");
  return new Failure({ status: 403, code: told.content, message: told.dataset.message });
}
