// What accounts, members and subscriptions have in common: money, a cap, limits.

import { usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { classes, html } from "../../core/view.js";
import { Segments } from "../../ui/basics.js";
import { Text } from "../../ui/form.js";
import { limitText } from "../../ui/limits.js";
import "../people/words.js";
import "./words.js";

const LITTLE = 0.2;

/** What is left of a grant, as a bar: used, held, left. `of` has quota_usd, used_usd, held_usd, remain_usd. */
export function Balance({ of, uncapped = t("unlimited") }) {
  const { quota_usd: granted, used_usd: used, remain_usd: left, held_usd: held } = of;
  if (granted === null) {
    return html`<span>${uncapped}${" "}
      <span class="muted small nowrap">${t("people.used_so_far", { used: usd(used) })}</span></span>`;
  }
  const part = (value) => ({ width: `${granted > 0 ? Math.min(100, Math.max(0, (value / granted) * 100)) : 0}%` });
  const tone = granted > 0 && (left <= 0 ? "bad" : left < granted * LITTLE && "warn");
  const told = t("accounts.balance_told", { left: usd(left), granted: usd(granted), used: usd(used), held: usd(held ?? 0) });
  return html`
    <div class=${classes("quota", tone)} title=${told}>
      <div class="row spread tabular"><span>${usd(left)}</span>
        <span class="muted small">${t("accounts.of", { granted: usd(granted) })}</span></div>
      <div class="bar" role="img" aria-label=${told}><i style=${part(used)}></i><i class="held" style=${part(held ?? 0)}></i></div>
    </div>`;
}

/** The figures of a wallet: what is left, what running calls hold, what was used. */
export const Figures = ({ of, children }) => html`
  <dl class="grid figures">
    <${Figure} name=${t("accounts.left")} value=${of.remain_usd === null ? t("unlimited") : usd(of.remain_usd)}
      text=${of.quota_usd !== null && t("accounts.of", { granted: usd(of.quota_usd) })} />
    <${Figure} name=${t("accounts.held")} value=${of.held_usd === null ? "–" : usd(of.held_usd)} text=${t("accounts.held_text")} />
    <${Figure} name=${t("accounts.used")} value=${usd(of.used_usd)} text=${t("accounts.used_text")} />
    ${children}
  </dl>`;

export const Figure = ({ name, value, text }) => html`
  <div class="card figure"><dt>${name}</dt><dd>${value}${text && html`<small>${text}</small>`}</dd></div>`;

/** {capped, amount} of a grant, as it is typed; of nothing it is no cap. */
export const capOf = (of) => ({ capped: (of?.quota_usd ?? null) !== null, amount: String(of?.quota_usd ?? "") });

/** Whether a cap that was typed is that of a grant. */
export function sameCap({ capped, amount }, of) {
  const before = capOf(of);
  return capped === before.capped && (!capped || amount === before.amount);
}

/** What a cap is sent as: null is none; what is no number goes as it is, and the server says what is wrong. */
export const sentCap = ({ capped, amount }) => (capped ? sentAmount(amount) : null);

/** An amount as it is sent. */
export function sentAmount(text) {
  const plain = String(text).trim();
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : plain;
}

/** A cap in dollars, or none. `value` is {capped, amount}. */
export const Cap = ({ label, none, hint, value, onChange, used, mistake }) => html`
  <fieldset class="stack tight"><legend>${label}</legend>
    <div><${Segments} label=${label} value=${value.capped ? "cap" : "none"} options=${[["none", none], ["cap", t("accounts.at_most")]]}
      onChange=${(each) => onChange({ ...value, capped: each === "cap" })} /></div>
    ${value.capped && html`<${Text} label=${t("accounts.in_all")} unit="USD" inputmode="decimal" mistake=${mistake} value=${value.amount}
      hint=${used === undefined ? hint : t("accounts.in_all_hint", { used: usd(used) })}
      onInput=${(amount) => onChange({ ...value, amount })} />`}
  </fieldset>`;

/** Limits and calls at once, in a cell of a table. */
export function Bounds({ of }) {
  const told = [
    ...of.limits.map(limitText),
    of.max_concurrency !== null && t("accounts.calls_at_once", { count: of.max_concurrency }),
  ].filter(Boolean);
  return told.length === 0 ? html`<span class="muted">–</span>` : told.map((each) => html`<div class="small">${each}</div>`);
}

/** How many calls at once, as it is sent: empty is any number. */
export const sentCount = (text) => (String(text).trim() === "" ? null : sentAmount(text));
