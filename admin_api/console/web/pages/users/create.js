// Making a user: who they are, what they may do, and where their money comes from.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Notice, Segments } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Select, Text } from "../../ui/form.js";
import { AccountChoice, FormProblem, useGroups } from "../people/parts.js";
import { roleHint, roleOptions } from "../people/roles.js";
import { OneTimePassword } from "./acts.js";

const BEGUN = {
  username: "", display_name: "", email: "", role: "user", group: "default",
  wallet: "amount", grant_usd: "", account_id: "", secret: "once", password: "",
};
const PLACED = ["username", "display_name", "email", "role", "group", "grant_usd", "account_id", "password"];

function bodyOf({ wallet, grant_usd, account_id, secret, password, ...user }) {
  return {
    ...user,
    ...(wallet === "amount" && grant_usd !== "" ? { grant_usd: Number(grant_usd) } : {}),
    ...(wallet === "unlimited" ? { unlimited_quota: true } : {}),
    ...(wallet === "account" && account_id ? { account_id: Number(account_id) } : {}),
    ...(secret === "own" ? { password } : {}),
  };
}

export function CreateUser({ onClose, onCreated }) {
  const { self } = useSession();
  const [draft, setDraft] = useState(BEGUN);
  const [key, setKey] = useState(once);
  const [made, setMade] = useState(null);
  const { busy, failure, run } = useSending();
  const groups = useGroups("default");
  // Another content under the same key would be another user: a change of the form is a new wish.
  const change = (part) => { setDraft((before) => ({ ...before, ...part })); setKey(once()); };
  const send = () => run(async () => {
    const user = await api.post("/api/user", bodyOf(draft), { once: key });
    onCreated();
    setMade(user);
  });
  const of = (name) => failure?.of?.(name);
  const given = (name) => ({ value: draft[name], onInput: (text) => change({ [name]: text }), mistake: of(name) });
  if (made) return html`<${Made} user=${made} onClose=${onClose} />`;
  return html`<${Drawer} title=${t("users.create")} onClose=${onClose} onSubmit=${send} keep foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}>${t("create")}</${Button}>`}>
    <${Text} label=${t("username")} hint=${t("users.username_hint")} ...${given("username")} autocomplete="off"
      autocapitalize="none" required />
    <${Text} label=${t("users.display_name")} hint=${t("users.optional")} ...${given("display_name")} autocomplete="off" />
    <${Text} label=${t("users.email")} hint=${t("users.optional")} type="email" ...${given("email")} autocomplete="off" />
    <${Select} label=${t("people.role")} hint=${roleHint(draft.role)} value=${draft.role} options=${roleOptions(self.role)}
      mistake=${of("role")}
      onChange=${(role) => change({ role })} />
    <${Select} label=${t("people.group")} hint=${t("users.group_hint")} value=${draft.group} options=${groups}
      mistake=${of("group")}
      onChange=${(group) => change({ group })} />
    <${Money} draft=${draft} change=${change} given=${given} of=${of} />
    <${Secret} draft=${draft} change=${change} given=${given} />
    <${FormProblem} failure=${failure} placed=${PLACED} />
  </${Drawer}>`;
}

function Money({ draft, change, given, of }) {
  const { may } = useSession();
  if (!may("account.write_any")) return null;
  const choices = [["amount", t("users.own_wallet")], ["unlimited", t("unlimited")], ["account", t("users.shared_wallet")]];
  return html`
    <fieldset class="stack tight"><legend>${t("users.wallet")}</legend>
      <div><${Segments} label=${t("users.wallet")} value=${draft.wallet} options=${choices}
        onChange=${(wallet) => change({ wallet })} /></div>
      ${draft.wallet === "amount"
        && html`<${Text} label=${t("users.grant")} hint=${t("users.grant_hint")} unit="USD" inputmode="decimal"
          ...${given("grant_usd")} />`}
      ${draft.wallet === "unlimited" && html`<p class="muted small">${t("users.unlimited_text")}</p>`}
      ${draft.wallet === "account"
        && html`<${AccountChoice} label=${t("people.account")} hint=${t("users.account_hint")} mistake=${of("account_id")}
        value=${draft.account_id} onChange=${(account_id) => change({ account_id })} />`}
    </fieldset>`;
}

const Secret = ({ draft, change, given }) => html`
  <fieldset class="stack tight"><legend>${t("password")}</legend>
    <div><${Segments} label=${t("password")} value=${draft.secret} onChange=${(secret) => change({ secret })}
      options=${[["once", t("one_time_password")], ["own", t("users.given_password")]]} /></div>
    ${draft.secret === "once"
      ? html`<p class="muted small">${t("users.once_hint")}</p>`
      : html`<${Text} label=${t("password")} hint=${t("new_password_hint")} type="password" autocomplete="new-password"
        ...${given("password")} />`}
  </fieldset>`;

const Made = ({ user, onClose }) => html`
  <${Drawer} title=${t("users.was_created", { name: user.username })} onClose=${onClose} onSubmit=${onClose} keep
    foot=${html`<${Button} type="submit" tone="primary">${t("people.done")}</${Button}>`}>
    ${user.password
      ? html`<${OneTimePassword} username=${user.username} password=${user.password} />`
      : html`<${Notice} tone="good">${t("users.has_password")}</${Notice}>`}
  </${Drawer}>`;
