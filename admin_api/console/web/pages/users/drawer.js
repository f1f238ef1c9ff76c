// One user: their profile to edit, and what they sign in with.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { dateTime, money } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Answered, Button, Notice, Segments } from "../../ui/basics.js";
import { Drawer, tell } from "../../ui/dialogs.js";
import { Check, Select, Text } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { FormProblem, StatusTag, useGroups } from "../people/parts.js";
import { mayManage, roleHint, roleOptions, RoleTag } from "../people/roles.js";
import { Access } from "./access.js";

const FIELDS = ["display_name", "email", "role", "group", "status"];

export function UserDrawer({ id, onClose, onChanged, ask }) {
  const { self, may } = useSession();
  const answer = useAnswer((signal) => api.get(`/api/user/${id}`, {}, { signal }), [id]);
  const [part, setPart] = useState("profile");
  const [typed, setTyped] = useState({});
  const { busy, failure, run, clear } = useSending();
  const user = answer.data;
  const writable = Boolean(user) && may("user.write") && mayManage(self.role, user.role);
  const changes = Object.fromEntries(Object.entries(typed).filter(([name, value]) => value !== (user?.[name] ?? "")));
  const send = () => run(async () => {
    const { late } = await api.patch(`/api/user/${id}`, changes, { version: user.version, whole: true });
    tell(t(late ? "saved_late" : "saved"));
    onChanged();
    onClose();
  });
  const reload = () => { clear(); answer.reload(); };
  const foot = writable && part === "profile" && html`
    <${Button} class="apart" tone="danger" icon="trash" onClick=${() => ask({ what: "delete", user })}>${t("delete")}</${Button}>
    <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
    <${Button} type="submit" tone="primary" busy=${busy} disabled=${Object.keys(changes).length === 0}>${t("save")}</${Button}>`;
  return html`<${Drawer} title=${user?.username ?? t("users.user")} onClose=${onClose} onSubmit=${writable ? send : onClose}
    keep=${Object.keys(changes).length > 0} foot=${foot}>
    <${Answered} answer=${answer}>${(data) => html`
      <${Facts} user=${data} /><${Links} user=${data} />
      ${!writable && may("user.write") && html`<${Notice}>${t(data.id === self.id ? "users.is_you" : "users.too_high")}</${Notice}>`}
      ${writable && html`<div><${Segments} label=${t("users.parts")} value=${part} onChange=${setPart}
        options=${[["profile", t("users.profile")], ["access", t("users.access")]]} /></div>`}
      ${part === "access" && html`<${Access} user=${data} ask=${ask} />`}
      ${writable && part === "profile" && html`<${Profile} user=${data} typed=${typed} failure=${failure}
        change=${(some) => setTyped((before) => ({ ...before, ...some }))} />
        <${FormProblem} failure=${failure} placed=${FIELDS} reload=${reload} />`}`}
    </${Answered}>
  </${Drawer}>`;
}

export const Email = ({ user }) => (user.email
  ? html`<span class="row tight"><span class="break">${user.email}</span>${user.email_verified
    ? html`<span class="mark good" title=${t("users.verified")} role="img" aria-label=${t("users.verified")}><${Icon} name="done" /></span>`
    : html`<span class="muted small nowrap">${t("users.not_verified")}</span>`}</span>`
  : html`<span class="muted">–</span>`);

const Facts = ({ user }) => html`
  <dl class="facts">
    <dt>${t("people.role")}</dt><dd class="row"><${RoleTag} role=${user.role} /><${StatusTag} status=${user.status} /></dd>
    <dt>${t("users.number")}</dt><dd>${user.id}</dd>
    <dt>${t("users.email")}</dt><dd><${Email} user=${user} /></dd>
    <dt>${t("users.balance")}</dt><dd>
      <a href=${to(`/admin/accounts/${user.account_id}`)}>${user.unlimited_quota ? t("unlimited") : money(user.quota)}</a>
      ${" "}<span class="muted small">${t("people.used_so_far", { used: money(user.used_quota) })}</span></dd>
    <dt>${t("people.created")}</dt><dd>${dateTime(user.created_time)}</dd>
    ${user.password_change_required && html`<dt>${t("password")}</dt><dd>${t("users.password_is_once")}</dd>`}
  </dl>`;

function Links({ user }) {
  const { may } = useSession();
  const links = [
    may("token.read_any") && ["key", t("users.keys"), to("/keys", { user_id: user.id })],
    may("token.read_any") && ["log", t("page.log"), to("/log", { user_id: user.id })],
    may("account.read_any") && ["wallet", t("page.accounts"), to("/admin/accounts", { user_id: user.id })],
    may("audit.read") && ["audit", t("users.audit_of"), to("/admin/audit", { object_kind: "user", object_id: user.id })],
    may("audit.read") && ["audit", t("users.audit_by"), to("/admin/audit", { actor: `user:${user.id}` })],
  ].filter(Boolean);
  return html`<div class="row">${links.map(([icon, text, href]) => html`
    <a class="button small" href=${href} key=${text}><${Icon} name=${icon} />${text}</a>`)}</div>`;
}

function Profile({ user, typed, change, failure }) {
  const { self } = useSession();
  const value = (name) => typed[name] ?? user[name] ?? "";
  const given = (name) => ({ value: value(name), onInput: (text) => change({ [name]: text }), mistake: failure?.of?.(name) });
  return html`
    <${Text} label=${t("users.display_name")} ...${given("display_name")} autocomplete="off" />
    <${Text} label=${t("users.email")} hint=${t("users.email_hint")} type="email" ...${given("email")} autocomplete="off" />
    <${Select} label=${t("people.role")} hint=${roleHint(value("role"))} value=${value("role")} options=${roleOptions(self.role, user.role)}
      mistake=${failure?.of?.("role")} onChange=${(role) => change({ role })} />
    <${Select} label=${t("people.group")} hint=${t("users.group_hint")} value=${value("group")} options=${useGroups(user.group)}
      mistake=${failure?.of?.("group")} onChange=${(group) => change({ group })} />
    <${Check} label=${t("people.enabled")} hint=${t("users.enabled_hint")} checked=${value("status") === 1}
      onChange=${(on) => change({ status: on ? 1 : 2 })} />`;
}
