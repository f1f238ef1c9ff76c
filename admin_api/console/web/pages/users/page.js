// Users: who there is, what they may do, and how much is on their wallet.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { money } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty, Menu, Page, When } from "../../ui/basics.js";
import { Search } from "../../ui/form.js";
import { Pager, Table } from "../../ui/table.js";
import { Refined, StatusTag, statusOptions, useGroups, useKeyword, Why } from "../people/parts.js";
import { mayManage, ROLES, RoleTag } from "../people/roles.js";
import { DeleteUser, NewPassword, setStatus } from "./acts.js";
import { CreateUser } from "./create.js";
import { Email, UserDrawer } from "./drawer.js";

const NO_FILTERS = { keyword: "", role: "", status: "", group: "", p: "" };

export default function Users({ query }) {
  const { may } = useSession();
  const asked = Object.fromEntries(Object.keys(NO_FILTERS).map((name) => [name, query.get(name)]));
  const answer = useAnswer((signal) => api.get("/api/user", { ...asked, page_size: 20 }, { signal }), Object.values(asked));
  const [asking, ask] = useState(null);
  const close = () => refine({ user: "", new: "" });
  const filtered = ["keyword", "role", "status", "group"].some((name) => query.get(name));
  const create = may("user.write") && html`
    <${Button} tone="primary" icon="plus" onClick=${() => refine({ new: 1 })}>${t("users.create")}</${Button}>`;
  return html`<${Page} title=${t("page.users")} text=${t("users.text")} actions=${create}>
    <${Filters} query=${query} />
    <${Table} label=${t("page.users")} columns=${useColumns(query, { changed: answer.reload, ask })} answer=${answer}
      items=${(data) => data.items}
      empty=${filtered && html`<${Empty} title=${t("people.nothing_found")}>
        <${Button} onClick=${() => refine(NO_FILTERS)}>${t("people.show_all")}</${Button}></${Empty}>`}
      foot=${answer.data?.total > 0 && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`} />
    ${query.get("new") && html`<${CreateUser} onClose=${close} onCreated=${answer.reload} />`}
    ${query.get("user") && html`<${UserDrawer} key=${query.get("user")} id=${query.get("user")} onClose=${close} onChanged=${answer.reload}
      ask=${ask} />`}
    ${asking?.what === "password" && html`<${NewPassword} user=${asking.user} onClose=${() => ask(null)} />`}
    ${asking?.what === "delete"
      && html`<${DeleteUser} user=${asking.user} onClose=${() => ask(null)} onDeleted=${() => { close(); answer.reload(); }} />`}
  </${Page}>`;
}

function Filters({ query }) {
  const [text, setText] = useKeyword(query);
  const groups = useGroups(query.get("group"));
  return html`<div class="filters" role="search">
    <${Search} label=${t("users.search")} value=${text} onInput=${setText} />
    <${Refined} query=${query} name="role" label=${t("people.role")}
      options=${[["", t("people.any_role")], ...ROLES.map((role) => [role, t(`people.role.${role}`)])]} />
    <${Refined} query=${query} name="status" label=${t("people.status")} options=${statusOptions()} />
    <${Refined} query=${query} name="group" label=${t("people.group")} options=${[["", t("people.any_group")], ...groups]} />
  </div>`;
}

function useColumns(query, acts) {
  const { self } = useSession();
  const filters = Object.fromEntries(query);
  return [
    { name: "name", title: t("users.name"), head: true, cell: (user) => html`
      <a href=${to("/admin/users", { ...filters, user: user.id })}>${user.display_name}</a>
      ${user.id === self.id && html` <span class="muted small">${t("people.you")}</span>`}
      ${user.display_name !== user.username && html`<div class="muted small">${user.username}</div>`}` },
    { name: "role", title: t("people.role"), cell: (user) => html`<${RoleTag} role=${user.role} />` },
    { name: "status", title: t("people.status"), cell: (user) => html`<${StatusTag} status=${user.status} />` },
    { name: "group", title: t("people.group"), cell: (user) => user.group },
    { name: "email", title: t("users.email"), cell: (user) => html`<${Email} user=${user} />` },
    { name: "balance", title: t("users.balance"), number: true,
      cell: (user) => html`<a class="plain" href=${to(`/admin/accounts/${user.account_id}`)}>
      ${user.unlimited_quota ? t("unlimited") : money(user.quota)}</a>` },
    { name: "created", title: t("people.created"), cell: (user) => html`<${When} at=${user.created_time} />` },
    { name: "actions", title: t("actions"), actions: true,
      cell: (user) => html`<${Actions} user=${user} filters=${filters} ...${acts} />` },
  ];
}

function Actions({ user, filters, changed, ask }) {
  const { may, self } = useSession();
  if (!may("user.write")) return null;
  if (!mayManage(self.role, user.role)) {
    const why = t(user.id === self.id ? "users.is_you" : "users.too_high");
    return html`<${Why} text=${why} />`;
  }
  const on = user.status === 1;
  return html`<${Menu} label=${t("people.actions_of", { name: user.username })} items=${[
    { icon: "edit", text: t("edit"), href: to("/admin/users", { ...filters, user: user.id }) },
    { icon: "key", text: t("users.keys"), href: to("/keys", { user_id: user.id }) },
    { icon: "rotate", text: t("users.new_password"), act: () => ask({ what: "password", user }) },
    { icon: on ? "pause" : "play", text: t(on ? "people.disable" : "people.enable"), act: () => setStatus(user, on ? 2 : 1, changed) },
    { icon: "trash", text: t("delete"), danger: true, act: () => ask({ what: "delete", user }) },
  ]} />`;
}
