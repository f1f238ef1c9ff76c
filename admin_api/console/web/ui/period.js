// Choosing a stretch of time, for what is shown of it.

import { t } from "../core/messages.js";
import { dayText, midnight, periodName } from "../core/period.js";
import { refine } from "../core/route.js";
import { html } from "../core/view.js";
import { Segments } from "./basics.js";

/** The period in the address: `names` of core/period.js, `fallback` where it has none; `also` changes with it. */
export function Period({ query, names, fallback, also = {} }) {
  const name = periodName(query, fallback);
  const choose = (next) => refine({
    ...also, period: next === fallback ? "" : next,
    from: next === "custom" ? dayText(midnight(6)) : "", until: next === "custom" ? dayText(midnight()) : "",
  });
  return html`
    <${Segments} label=${t("period")} value=${name} options=${names.map((each) => [each, t(`period.${each}`)])} onChange=${choose} />
    ${name === "custom" && html`<span class="row between">
      <input type="date" aria-label=${t("period.from")} value=${query.get("from") ?? ""} max=${query.get("until") ?? ""}
        onChange=${(event) => refine({ ...also, from: event.target.value })} />
      <span aria-hidden="true">–</span>
      <input type="date" aria-label=${t("period.until")} value=${query.get("until") ?? ""} min=${query.get("from") ?? ""}
        onChange=${(event) => refine({ ...also, until: event.target.value })} />
    </span>`}`;
}
