import { number, price } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { html } from "../../core/view.js";

/** What a model costs in a group; without one in the first that offers it. */
export const priceIn = (model, group) => model.prices.find((each) => !group || each.group === group);

/** Money for a million tokens, as exact as a price has to be. */
export const cost = (value) => (value === null || value === undefined ? "–" : price(value));

/** One figure of a model, with how it differs in other groups on hover. */
export function Cost({ model, group, kind }) {
  const field = `${kind}_usd_per_mtok`;
  const own = priceIn(model, group);
  if (model.members) return html`<span class="muted"
    title=${t("models.stands_text")}>${kind === "input" ? t("models.stands") : "–"}</span>`;
  if (!own || own[field] === null) return html`<span class="muted">–</span>`;
  const others = group ? [] : model.prices.filter((each) => each[field] !== own[field]);
  const told = others.map((each) => `${each.group}: ${cost(each[field])}`).join("\n");
  return html`<span title=${told || undefined}>${others.length > 0 && html`<span class="muted small">${t("models.from")} </span>`}
    ${cost(Math.min(own[field], ...others.map((each) => each[field])))}</span>`;
}

export const ratioOf = (given) => `× ${number(given.ratio, { maximumFractionDigits: 6 })}`;
