// Who is signed in, what they may do, and what this installation is: read once, shared by all pages.

import { api } from "./api.js";
import { createContext, useContext } from "./view.js";

export const Session = createContext(null);

/**
 * {status, self, refused, may(permission), refresh, signOut, forgetRefused}; `refresh` answers who is signed in now, `refused` is why
 * a sign-in with a provider failed that led here.
 */
export const useSession = () => useContext(Session);

/** The profile, or null where nobody is signed in. */
export async function readSelf() {
  try {
    return await api.get("/api/user/self");
  } catch (failure) {
    if (failure.status === 401) return null;
    throw failure;
  }
}
