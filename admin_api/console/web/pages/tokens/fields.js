// The simple fields of a key: what it may cost, until when, and in which group.

import { dateTime, money, number, unitsOf, zone } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { typed } from "../../core/numbers.js";
import { html, useId } from "../../core/view.js";
import { Segments } from "../../ui/basics.js";
import { Field, Select, Text } from "../../ui/form.js";
import { Few } from "../../ui/names.js";
import { dayOf, endOf, inOtherUnit } from "./draft.js";

/** A label that is only read out, where what is above the field says the same. */
export const unseen = (label) => html`<span class="only-read">${label}</span>`;

/** A field with a choice of few kinds, and below it what the chosen kind needs. */
export function Choice({ label, value, options, onChange, children }) {
  return html`
    <div class="field">
      <div class="row spread"><span class="label">${label}</span>
        <${Segments} label=${label} value=${value} options=${options} onChange=${onChange} /></div>
      ${children}
    </div>`;
}

/**
 * A rule that is the group's unless the key has its own.
 *
 * `own` says which; `inherited` is what the group says, in words.
 */
export const Rule = ({ label, own, onOwn, inherited, children }) => html`
  <${Choice} label=${label} value=${own} onChange=${onOwn} options=${[[false, t("tokens.as_group")], [true, t("tokens.own")]]}>
    ${own ? children : html`<p class="muted break">${inherited}</p>`}
  </${Choice}>`;

/** What the key may cost in all: a sum in dollars or units, or no cap. */
export function Quota({ draft, change, token, mistake }) {
  const kinds = ["unlimited", "total", ...(token && !token.unlimited_quota ? ["add"] : [])];
  const turn = (unit) => change({ unit, amount: inOtherUnit(draft.amount, draft.unit) });
  const present = token && !token.unlimited_quota ? typed(token.quota_usd ?? 0) : "";
  const turned = (kind) => change({ quota: kind, amount: kind === "total" ? present : "", unit: "usd" });
  return html`
    <${Choice} label=${t("tokens.quota")} value=${draft.quota} onChange=${turned}
      options=${kinds.map((kind) => [kind, t(`tokens.quota.${kind}`)])}>
      ${draft.quota === "unlimited"
        ? html`<p class="muted">${t("tokens.quota_unlimited_hint")}</p>`
        : html`<${Amount} draft=${draft} onAmount=${(amount) => change({ amount })} onUnit=${turn}
            hint=${left(draft, token)} mistake=${mistake} />`}
    </${Choice}>`;
}

const Amount = ({ draft, onAmount, onUnit, hint, mistake }) => html`
  <${Field} label=${unseen(t("tokens.amount"))} hint=${hint} mistake=${mistake}>
    ${(attributes) => html`<div class="with-unit">
      <input ...${attributes} inputmode="decimal" autocomplete="off" value=${draft.amount}
        onInput=${(event) => onAmount(event.target.value)} />
      <select aria-label=${t("tokens.unit")} value=${draft.unit} onChange=${(event) => onUnit(event.target.value)}>
        <option value="usd" selected=${draft.unit === "usd"}>${t("tokens.unit.usd")}</option>
        <option value="units" selected=${draft.unit === "units"}>${t("tokens.unit.units")}</option>
      </select></div>`}
  </${Field}>`;

/** What is left after the change, or what the amount is in the other unit. */
function left(draft, token) {
  const amount = Number(draft.amount);
  if (draft.amount.trim() === "" || !Number.isFinite(amount)) {
    return token && t("tokens.used_so_far", { used: money(token.used_quota) });
  }
  const units = draft.unit === "usd" ? unitsOf(amount) : amount;
  if (token) {
    const granted = draft.quota === "add" ? token.used_quota + token.remain_quota + units : units;
    return t("tokens.left_then", { used: money(token.used_quota), left: money(granted - token.used_quota) });
  }
  return draft.unit === "usd" ? t("tokens.in_units", { amount: number(units) }) : money(units);
}

/** When the key ends, and in whose time. */
export function Expiry({ draft, change, token, mistake }) {
  const inDays = () => Date.now() / 1000 + Number(draft.days) * 86_400;
  return html`
    <${Choice} label=${t("tokens.expiry")} value=${draft.expiry} onChange=${(expiry) => change({ expiry })}
      options=${["never", "date", "days"].map((kind) => [kind, t(`tokens.expiry.${kind}`)])}>
      ${draft.expiry === "date" && html`
        <${Text} label=${unseen(t("tokens.last_day"))} type="date" min=${dayOf(Date.now() / 1000)} value=${draft.date} mistake=${mistake}
          hint=${t("tokens.ends_at", { at: endText(draft, token), zone: zone() })} onInput=${(date) => change({ date })} />`}
      ${draft.expiry === "days" && html`
        <${Text} label=${unseen(t("tokens.days"))} inputmode="numeric" unit=${t("tokens.days")} value=${draft.days} mistake=${mistake}
          hint=${Number(draft.days) > 0 && t("tokens.ends_at", { at: dateTime(inDays()), zone: zone() })}
          onInput=${(days) => change({ days })} />`}
    </${Choice}>`;
}

function endText(draft, token) {
  if (!draft.date) return "23:59:59";
  // A time of day that somebody else has set stays until another day is chosen.
  const stays = token && token.expired_time !== -1 && dayOf(token.expired_time) === draft.date;
  return dateTime(stays ? token.expired_time : endOf(draft.date));
}

/** The group, and what it allows. */
export function Group({ draft, change, groups, fallback, mistake }) {
  const id = useId();
  const options = [["", t("tokens.group_of_user", { name: fallback })], ...Object.keys(groups).map((name) => [name, name])];
  if (draft.group && !(draft.group in groups)) options.push([draft.group, draft.group]);
  const chosen = groups[draft.group || fallback];
  return html`
    <div class="field" aria-describedby=${id}>
      <${Select} label=${t("tokens.group")} value=${draft.group} options=${options} mistake=${mistake}
        onChange=${(group) => change({ group })} />
      ${chosen && html`<div class="group-facts small muted" id=${id}>
        ${chosen.desc && html`<div>${chosen.desc}</div>`}
        ${chosen.ratio !== 1 && html`<div>${t("tokens.group_ratio", { ratio: number(chosen.ratio) })}</div>`}
        ${chosen.models && html`<div class="row tight">
          <span>${t("tokens.group_models")}</span><${Few} names=${chosen.models} most=${5} empty=${t("tokens.no_models")} /></div>`}
      </div>`}
    </div>`;
}
