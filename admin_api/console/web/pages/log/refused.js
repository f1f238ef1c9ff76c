// What the list lacks: how many calls of the period were refused, and where one sees why.

import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Notice } from "../../ui/basics.js";
import { REFUSED, refusalsOf, useRefusals } from "../calls/refused.js";

const LIVE_S = 10;
const KEPT = ["period", "from", "until", "user_id", "token_id"];

export function RefusedLine({ filter, live, query }) {
  const parameters = { start: 1, ...refusalsOf(filter), interval: "all", by: "token_id" };
  const { data } = useRefusals(parameters, { every: live ? LIVE_S : 0 });
  const count = data?.total.refusals ?? 0;
  if (count === 0) return null;
  const keys = data.series.filter(({ total }) => total.refusals > 0);
  const kept = Object.fromEntries(KEPT.map((name) => [name, query.get(name)]));
  return html`
    <div class="refused-line"><${Notice}>${t("refused.in_log", { count, n: number(count) })} <a href=${to("/usage", { ...kept, measure: REFUSED })}>${t("refused.in_log_why")}</a>
      ${keys.length === 1 && keys[0].name !== null && html` · <a href=${to(`/keys/${keys[0].key}/why`)}>${t("refused.in_log_key", { name: keys[0].name })}</a>`}
    </${Notice}></div>`;
}
