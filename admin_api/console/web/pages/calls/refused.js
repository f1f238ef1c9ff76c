// Calls that were refused: they are in no list of calls, and counted by hour, key and reason.

import { api, pathWith } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { loadArea, t } from "../../core/messages.js";

await loadArea("refused");

/** The measure of the usage page that shows them. */
export const REFUSED = "refused";

const KNOWN = ["user_id", "token_id", "start", "end"];

/** What of a filter of calls chooses among refusals, too. */
export const refusalsOf = (filter) => Object.fromEntries(KNOWN.map((name) => [name, filter[name]]).filter(([, value]) => value !== undefined));

/** Whether a filter of calls chooses by what refusals do not tell. */
export const isNarrower = (filter) => Object.keys(filter).some((name) => filter[name] !== undefined && !KNOWN.includes(name));

export const useRefusals = (parameters, options) =>
  useAnswer((signal) => api.get("/api/refusal/series", parameters, { signal }), [pathWith("", parameters)], options);

export const reasonText = (reason) => t(`refused.reason.${reason}`);
