// The admin API as the page calls it: the same calls that anybody's automation makes, with the session's cookie.

import { learnRefusals } from "./messages.js";

/**
 * An answer that says no, or none at all (`status` 0).
 *
 * `errors` are {field, code, message, params}, as docs/token-api.md tells.
 */
export class Failure extends Error {
  constructor({ status, code, message, errors = [], retryAfter = null }) {
    super(message);
    Object.assign(this, { status, code, errors, retryAfter });
  }

  /** The first mistake of a field; places within it (`limits.1`) belong to it. */
  of(field) {
    return this.errors.find((each) => each.field === field || each.field?.startsWith(`${field}.`));
  }
}

let whenSignedOut = () => {};

/** `told` is called whenever an answer says that there is no session (any more). */
export function onSignedOut(told) {
  whenSignedOut = told;
}

/** A path with parameters; those that are empty are left out. */
export function pathWith(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** What an answer in the API's envelope says that says no, once there are words for it. */
export async function failureOf(response, answer) {
  await learnRefusals();
  if (answer.code === "not_authenticated") whenSignedOut();
  return new Failure({ ...answer, status: response.status, retryAfter: response.headers.get("Retry-After") });
}

/**
 * `data` of the answer. Raises `Failure`.
 *
 * `late` of what it resolves `whole` calls with says that it was saved, but that gateways hear of it late (202);
 * `remark` is what a caller would not expect of a success.
 */
async function call(method, path, { body, parameters, version, once, signal, whole = false } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (version !== undefined) headers["If-Match"] = `"${version}"`;
  if (once !== undefined) headers["Idempotency-Key"] = once;
  let response, answer;
  try {
    response = await fetch(pathWith(path, parameters), {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body),
    });
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure({ status: 0, code: "no_answer", message: "" });
  }
  if (!answer.success) throw await failureOf(response, answer);
  return whole ? { data: answer.data, late: response.status === 202, remark: answer.message } : answer.data;
}

export const api = {
  get: (path, parameters, options) => call("GET", path, { parameters, ...options }),
  post: (path, body, options) => call("POST", path, { body, ...options }),
  put: (path, body, options) => call("PUT", path, { body, ...options }),
  patch: (path, body, options) => call("PATCH", path, { body, ...options }),
  delete: (path, options) => call("DELETE", path, options),
};
