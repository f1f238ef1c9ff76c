// The figures behind an explanation: what the call would hold, and what is left of quotas, limits and calls at once.

import { number, nusd, short, usd } from "../../core/format.js";
import { caseText, t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Tag } from "../../ui/basics.js";
import { limitText } from "../../ui/limits.js";

const SCOPES = ["token", "member", "subscription", "account"];

export function Figures({ found }) {
  return html`
    ${found.hold && html`<${Hold} hold=${found.hold} candidates=${found.candidates} />`}
    ${found.quota && html`<${Quotas} quota=${found.quota} />`}
    ${found.limits.length + found.concurrency.length > 0 && html`<${Limits} limits=${found.limits} concurrency=${found.concurrency} />`}`;
}

const Hold = ({ hold, candidates }) => html`
  <section class="card"><h2>${t("tokens.hold")}</h2>
    <dl class="facts">
      <dt>${t("tokens.hold_amount")}</dt><dd class="tabular">${nusd(hold.amount_nusd)}</dd>
      <dt>${t("tokens.hold_tokens")}</dt><dd class="tabular">${number(hold.tokens)}</dd>
      ${hold.written_max_tokens !== null && html`
        <dt>${t("tokens.hold_written")}</dt><dd class="tabular">${number(hold.written_max_tokens)}</dd>`}
      ${candidates.length > 0 && html`<dt>${t("tokens.upstreams")}</dt><dd>
        ${candidates.map((each) => html`<${Candidate} key=${each.upstream} each=${each} />`)}</dd>`}
    </dl>
  </section>`;

/** An upstream that could serve the call, and what becomes of the call on the way there. */
function Candidate({ each: { upstream, dialect, translated, left_out, refused } }) {
  const way = translated && t(left_out.length ? "tokens.translated_without" : "tokens.translated", { dialect, left_out: left_out.join(", ") });
  return html`<div class="break">${upstream} ${way && html`<span class="muted">${refused ? caseText(refused) : way}</span>`}</div>`;
}

const MONEY = ["granted", "used", "held", "available"];

/** An amount of a scope. What is null has no cap, or is not known while the quota store cannot be asked. */
function moneyOf(scope, name) {
  const amount = name === "used" && scope.used_nusd !== null ? scope.used_nusd + (scope.pending_nusd ?? 0) : scope[`${name}_nusd`];
  if (amount !== null) return nusd(amount);
  const uncapped = scope.granted_nusd === null && (name === "granted" || name === "available");
  return html`<span class="muted">${uncapped ? t("unlimited") : "–"}</span>`;
}

const Quotas = ({ quota }) => html`
  <section class="card flush"><h2 class="card-title">${t("tokens.quotas")}</h2>
    <div class="table-wrap"><table class="cards"><caption class="only-read">${t("tokens.quotas")}</caption>
      <thead><tr><th scope="col">${t("tokens.scope")}</th>
        ${MONEY.map((name) => html`<th scope="col" class="number">${t(`tokens.money.${name}`)}</th>`)}</tr></thead>
      <tbody>${SCOPES.map((scope) => html`<tr key=${scope}>
        <th scope="row">${t(`tokens.scope.${scope}`)}</th>
        ${MONEY.map((name) => html`<td class="number" data-label=${t(`tokens.money.${name}`)}>${moneyOf(quota[scope], name)}</td>`)}
      </tr>`)}</tbody>
    </table></div>
  </section>`;

const amount = (limit, value) => (limit.metric === "usd" ? usd(value) : short(value));

const Limits = ({ limits, concurrency }) => html`
  <section class="card flush"><h2 class="card-title">${t("tokens.limits")}</h2>
    <div class="table-wrap"><table class="cards"><caption class="only-read">${t("tokens.limits")}</caption>
      <thead><tr><th scope="col">${t("tokens.limit")}</th><th scope="col">${t("tokens.scope")}</th>
        ${["used", "available"].map((name) => html`<th scope="col" class="number">${t(`tokens.money.${name}`)}</th>`)}</tr></thead>
      <tbody>
        ${limits.map((limit) => html`<tr>
          <th scope="row">${limitText(limit)} ${limit.shadow && html`<${Tag}>${t("limits.tried")}</${Tag}>`}</th>
          <td data-label=${t("tokens.scope")}>${t(`tokens.scope.${limit.scope}`)}</td>
          <td class="number" data-label=${t("tokens.money.used")}>${amount(limit, limit.used)}</td>
          <td class="number" data-label=${t("tokens.money.available")}>${amount(limit, limit.available)}</td></tr>`)}
        ${concurrency.map((each) => html`<tr>
          <th scope="row">${t("tokens.at_once_of", { count: number(each.limit) })}</th>
          <td data-label=${t("tokens.scope")}>${t(`tokens.scope.${each.scope}`)}</td>
          <td class="number" data-label=${t("tokens.money.used")}>${number(each.live)}</td>
          <td class="number" data-label=${t("tokens.money.available")}>${number(Math.max(0, each.limit - each.live))}</td></tr>`)}
      </tbody>
    </table></div>
  </section>`;
