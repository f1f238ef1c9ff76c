// Money for an account, a member or a subscription: a grant, or a payment that is booked once.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { html, useState } from "../../core/view.js";
import { Button } from "../../ui/basics.js";
import { Drawer, tell } from "../../ui/dialogs.js";
import { Select, Text } from "../../ui/form.js";
import { FormProblem } from "../people/parts.js";
import { sentAmount } from "./parts.js";

const PLACED = ["amount_usd", "note", "reference", "user_id", "group"];

/** What of an account has a cap of its own, as options: "", "member:2", "group:default". */
export function scopesOf(account, { capped } = {}) {
  const fits = (each) => !capped || each.quota_usd !== null;
  return [
    ["", t("accounts.itself")],
    ...account.members.filter(fits).map((each) => [`member:${each.user_id}`, t("accounts.of_member", { name: each.display_name })]),
    ...account.subscriptions.filter(fits).map((each) => [`group:${each.group}`, t("accounts.of_group", { name: each.group })]),
  ];
}

/** The parameters that name a scope of `scopesOf`. */
export function parametersOf(scope) {
  const [kind, ...rest] = scope.split(":");
  if (kind === "member") return { user_id: Number(rest[0]) };
  return kind === "group" ? { group: rest.join(":") } : {};
}

/** `what` is grant or top_up. */
export function Give({ account, what, onClose, onGiven }) {
  const [draft, setDraft] = useState({ scope: "", amount: "", note: "", reference: "" });
  const [key, setKey] = useState(once);
  const { busy, failure, run } = useSending();
  const change = (part) => { setDraft((before) => ({ ...before, ...part })); setKey(once()); };
  const send = () => run(async () => {
    const body = {
      amount_usd: sentAmount(draft.amount), note: draft.note, ...parametersOf(draft.scope),
      ...(what === "top_up" ? { reference: draft.reference } : {}),
    };
    const { entry, remain_usd } = await api.post(`/api/account/${account.id}/${what}`, body, what === "grant" ? { once: key } : {});
    tell(t(entry.amount_usd < 0 ? "accounts.taken" : "accounts.given", { amount: usd(Math.abs(entry.amount_usd)), left: usd(remain_usd) }));
    onGiven();
    onClose();
  });
  const given = (name, field = name) => ({ value: draft[name], mistake: failure?.of?.(field), onInput: (text) => change({ [name]: text }) });
  const scopes = scopesOf(account, { capped: true });
  return html`<${Drawer} title=${t(`accounts.${what}_title`)} onClose=${onClose} onSubmit=${send} keep foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}>${t(`accounts.${what}_act`)}</${Button}>`}>
    <p class="muted">${t(`accounts.${what}_text`)}</p>
    ${scopes.length > 1 && html`<${Select} label=${t("accounts.for")} value=${draft.scope} options=${scopes}
      onChange=${(scope) => change({ scope })}
      mistake=${failure?.of?.("user_id") ?? failure?.of?.("group")} />`}
    <${Text} label=${t("accounts.amount")} hint=${t(`accounts.${what}_hint`)} unit="USD" inputmode="decimal"
      ...${given("amount", "amount_usd")} />
    ${what === "top_up" && html`<${Text} label=${t("accounts.reference")} hint=${t("accounts.reference_hint")} ...${given("reference")}
      autocomplete="off" />`}
    <${Text} label=${t("accounts.note")} hint=${t("accounts.note_hint")} maxlength="200" ...${given("note")} />
    <${FormProblem} failure=${failure} placed=${PLACED} />
  </${Drawer}>`;
}
