// A model as it is typed, and as it is sent.

import { numberOf, typed } from "../../core/numbers.js";
import { MAIN, OTHERS } from "./prices.js";

export const PRICES = [...MAIN, ...OTHERS].map((kind) => `${kind}_usd_per_mtok`);
export const BOUNDS = ["max_output_tokens", "default_output_tokens", "max_input_tokens", "image_max_tokens", "bytes_per_token"];
const NUMBERS = [...PRICES, "request_usd", ...BOUNDS];

/** `stands` says whether the name stands for other models: then it has nothing else. */
export function draftOf(entry) {
  return {
    name: entry?.name ?? "", stands: Boolean(entry?.members), members: entry?.members ?? [],
    ...Object.fromEntries(NUMBERS.map((name) => [name, typed(entry?.[name])])),
    tiers: (entry?.tiers ?? []).map(tierDraft),
    max_output_field: entry?.max_output_field ?? "", hides_output: entry?.hides_output ?? null,
  };
}

export const tierDraft = (tier) => Object.fromEntries(Object.entries(tier).map(([name, value]) => [name, typed(value)]));

export function bodyOf(draft) {
  const own = (value) => (draft.stands ? null : value);
  return {
    name: draft.name.trim(), members: draft.stands ? draft.members : null,
    ...Object.fromEntries(NUMBERS.map((name) => [name, own(numberOf(draft[name]))])),
    tiers: own(draft.tiers.length ? draft.tiers.map(tierBody) : null),
    max_output_field: own(draft.max_output_field || null), hides_output: own(draft.hides_output),
  };
}

const tierBody = (tier) => Object.fromEntries(
  Object.entries(tier).map(([name, text]) => [name, numberOf(text)]).filter(([, value]) => value !== null),
);

// Without a figure of their own these cost what input does.
const AS_INPUT = ["cached_input_usd_per_mtok", "cache_write_usd_per_mtok"];

/** What a price says, as it is typed: to begin a price of one's own with. */
export function draftOfPrice({ price, tiers }) {
  const said = (told, name) => (AS_INPUT.includes(name) && told[name] === told.input_usd_per_mtok ? "" : typed(told[name]));
  const typedPrice = (told, names) => Object.fromEntries(names.map((name) => [name, said(told, name)]));
  return {
    ...typedPrice(price, PRICES), request_usd: price.request_usd ? typed(price.request_usd) : "",
    tiers: tiers.map((tier) => ({
      above_input_tokens: typed(tier.above_input_tokens), ...typedPrice(tier, PRICES.filter((name) => said(tier, name) !== "")),
    })),
  };
}
