// The figures that calls are measured by, for tiles, charts and tables.

import { duration, number, percent, short, usd } from "../../core/format.js";
import { loadArea, t } from "../../core/messages.js";

await loadArea("calls");

export const tokensOf = (sums) => sums.input_tokens + sums.output_tokens;
export const shareOf = (part, whole) => (whole ? part / whole : 0);

/**
 * What can be measured: `of(sums)` the figure; `short(value)` for axes, `said(value)` in full; `lines` are drawn as lines,
 * since they are means and do not add up.
 */
export const MEASURES = {
  cost: { of: (sums) => sums.usd, said: usd, short: usd },
  requests: { of: (sums) => sums.requests, said: number, short, whole: true },
  tokens: { of: tokensOf, said: number, short, whole: true },
  errors: { of: (sums) => sums.errors, said: number, short, whole: true },
  latency: { of: (sums) => sums.duration_ms, said: duration, short: duration, lines: true },
};

/** The tile of a measure: {value, note}. */
export function tileOf(name, total) {
  const value = MEASURES[name].of(total);
  if (name === "tokens") {
    const parts = { input: short(total.input_tokens), output: short(total.output_tokens), cached: short(total.cached_input_tokens) };
    return { value: short(value), note: t("calls.tokens_note", parts) };
  }
  if (name === "errors") return { value: percent(shareOf(value, total.requests)), note: t("calls.errors_note", { n: number(value), all: number(total.requests) }) };
  if (name === "latency") {
    const first = total.ttfb_ms === null ? "–" : duration(total.ttfb_ms);
    return { value: value === null ? "–" : duration(value), note: t("calls.latency_note", { first }) };
  }
  if (name === "cost") return { value: usd(value), note: t("calls.cost_note", { each: usd(shareOf(value, total.requests)) }) };
  return { value: short(value), note: t("calls.requests_note", { n: short(Math.round(shareOf(tokensOf(total), value))) }) };
}
