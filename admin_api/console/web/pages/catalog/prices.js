// Prices as they are shown. They are said in US dollars for a million tokens, whatever the installation shows money in.

import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { html } from "../../core/view.js";

export const MAIN = ["input", "output", "cached_input"];
export const OTHERS = ["cache_write", "cache_write_1h", "reasoning", "audio_input", "audio_output", "image_input", "image_output"];

/** $0.15: as exact as it is. */
export const dollars = (value) => `$${number(value, { minimumFractionDigits: 2, maximumFractionDigits: 9 })}`;

export const perMillion = (value) => (value === null || value === undefined ? "–" : dollars(value));

/** What a price says, line by line, for `Facts`. */
export const priceRows = (price) => [
  ...[...MAIN, ...OTHERS].filter((kind) => price[`${kind}_usd_per_mtok`] !== null && price[`${kind}_usd_per_mtok`] !== undefined)
    .map((kind) => [t(`catalog.kind.${kind}`), html`<span class="tabular">${dollars(price[`${kind}_usd_per_mtok`])}</span>`]),
  price.request_usd > 0 && [t("catalog.request_usd"), html`<span class="tabular">${dollars(price.request_usd)}</span>`],
];
