// The members of an account: who they are in it, and how much of its money each may use.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Menu } from "../../ui/basics.js";
import { Drawer, Question, tell } from "../../ui/dialogs.js";
import { Select, Text } from "../../ui/form.js";
import { Limits, sentLimits } from "../../ui/limits.js";
import { Pager, Table } from "../../ui/table.js";
import { FormProblem, Person, Why } from "../people/parts.js";
import { mayManageMember, MEMBER_ROLES, MemberTag } from "../people/roles.js";
import { Balance, Bounds, Cap, capOf, sameCap, sentCap, sentCount } from "./parts.js";

const SHOWN = 20;
const PLACED = ["username", "user_id", "role", "quota_usd", "limits", "max_concurrency"];

export function Members({ account, head, changed }) {
  const { may, self } = useSession();
  const [page, setPage] = useState(1);
  const [asking, ask] = useState(null);
  const path = `/api/account/${account.id}/member`;
  const answer = useAnswer((signal) => api.get(path, { p: page, page_size: SHOWN }, { signal }), [path, page]);
  const writes = may("account.write") && (may("account.write_any") || ["owner", "admin"].includes(account.role));
  // Whoever reaches every account is no less for being a member of this one.
  const own = may("account.write_any") ? null : account.role;
  const done = () => { answer.reload(); changed(); };
  const close = () => ask(null);
  return html`
    <div class="row spread">${head}${writes
      && html`<${Button} icon="plus" onClick=${() => ask({ what: "add" })}>${t("accounts.add_member")}</${Button}>`}</div>
    <${Table} label=${t("accounts.members")} columns=${columns({ self, writes, own, ask })} answer=${answer} items=${(data) => data.items}
      rowKey=${(row) => row.user_id} foot=${answer.data?.total > SHOWN && html`<${Pager} page=${answer.data} onPage=${setPage} />`} />
    ${asking?.what === "add" && html`<${MemberForm} account=${account} own=${own} onClose=${close} onDone=${done} />`}
    ${asking?.what === "edit"
      && html`<${MemberForm} key=${asking.member.version} account=${account} own=${own} member=${asking.member} onClose=${close}
        onDone=${done} />`}
    ${asking?.what === "remove" && html`<${RemoveMember} member=${asking.member} onClose=${close} onDone=${done} />`}`;
}

const columns = ({ self, writes, own, ask }) => [
  { name: "name", title: t("accounts.member"), head: true, cell: (row) => html`${row.display_name}
    ${row.user_id === self.id && html` <span class="muted small">${t("people.you")}</span>`}
    ${row.display_name !== row.username && html`<div class="muted small">${row.username}</div>`}` },
  { name: "role", title: t("people.role"), cell: (row) => html`<${MemberTag} role=${row.role} />` },
  { name: "cap", title: t("accounts.cap"), cell: (row) => html`<${Balance} of=${row} uncapped=${t("accounts.no_cap")} />` },
  { name: "bounds", title: t("accounts.bounds"), cell: (row) => html`<${Bounds} of=${row} />` },
  writes && { name: "actions", title: t("actions"), actions: true, cell: (row) => (mayManageMember(own, row.role)
    ? html`<${Menu} label=${t("people.actions_of", { name: row.username })} items=${[
      { icon: "edit", text: t("edit"), act: () => ask({ what: "edit", member: row }) },
      // One leaves one's own wallet in another way.
      (own === null || row.user_id !== self.id)
        && { icon: "trash", text: t("accounts.remove"), danger: true, act: () => ask({ what: "remove", member: row }) },
    ]} />`
    : html`<${Why} text=${t("accounts.too_high")} />`) },
].filter(Boolean);

/** Adds a member, or edits `member`. */
function MemberForm({ account, own, member, onClose, onDone }) {
  const { may } = useSession();
  const [now, setNow] = useState(member);
  const [draft, setDraft] = useState(() => ({
    username: "", role: member?.role ?? "member", cap: capOf(member),
    limits: member?.limits ?? [], at_once: String(member?.max_concurrency ?? ""),
  }));
  const { busy, failure, run, clear } = useSending();
  const change = (part) => setDraft((before) => ({ ...before, ...part }));
  const path = `/api/account/${account.id}/member`;
  const send = () => run(async () => {
    const wanted = bodyOf(draft, member);
    const { late } = member
      ? await api.patch(`${path}/${member.user_id}`, wanted, { version: now.version, whole: true })
      : await api.post(path, { ...wanted, username: draft.username.trim() }, { whole: true });
    tell(late ? t("saved_late") : member ? t("saved") : t("accounts.was_added", { name: draft.username.trim() }));
    onDone();
    onClose();
  });
  const reload = async () => {
    const { items } = await api.get(path, { page_size: 100 });
    setNow(items.find((each) => each.user_id === member.user_id) ?? now);
    clear();
  };
  const of = (name) => failure?.of?.(name);
  const roles = MEMBER_ROLES.filter((role) => mayManageMember(own, role) || role === member?.role);
  return html`<${Drawer} title=${member ? t("accounts.edit_member", { name: member.display_name }) : t("accounts.add_member")}
    onClose=${onClose} onSubmit=${send} keep
    foot=${html`<${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}>${t(member ? "save" : "accounts.add")}</${Button}>`}>
    ${!member && html`<${Person} label=${t("username")} hint=${t("accounts.username_hint")} suggest=${may("user.read")}
      value=${draft.username}
      mistake=${of("username") ?? of("user_id")} onInput=${(username) => change({ username })} />`}
    <${Select} label=${t("people.role")} hint=${t(`accounts.role_hint.${draft.role}`)} value=${draft.role} mistake=${of("role")}
      options=${roles.map((role) => [role, t(`people.member.${role}`)])} onChange=${(role) => change({ role })} />
    <${Cap} label=${t("accounts.cap")} none=${t("accounts.no_cap")} hint=${t("accounts.cap_hint")} used=${member?.used_usd}
      value=${draft.cap} mistake=${of("quota_usd")}
      onChange=${(cap) => change({ cap })} />
    <${Limits} hint=${t("accounts.limits_hint")} value=${draft.limits} mistakes=${failure?.errors}
      onChange=${(limits) => change({ limits })} />
    <${Text} label=${t("accounts.at_once")} hint=${t("accounts.at_once_hint")} inputmode="numeric" value=${draft.at_once}
      mistake=${of("max_concurrency")}
      onInput=${(at_once) => change({ at_once })} />
    <${FormProblem} failure=${failure} placed=${PLACED} reload=${member && reload} />
  </${Drawer}>`;
}

/** What of the draft is sent: of a member that there is, only what was changed. */
function bodyOf(draft, member) {
  return {
    ...(member?.role === draft.role ? {} : { role: draft.role }),
    ...(sameCap(draft.cap, member) ? {} : { quota_usd: sentCap(draft.cap) }),
    ...(member?.limits === draft.limits ? {} : { limits: sentLimits(draft.limits) }),
    ...(String(member?.max_concurrency ?? "") === draft.at_once ? {} : { max_concurrency: sentCount(draft.at_once) }),
  };
}

const RemoveMember = ({ member, onClose, onDone }) => html`
  <${Question} title=${t("accounts.remove_title", { name: member.display_name })} action=${t("accounts.remove")} onClose=${onClose}
    act=${async () => {
      await api.delete(`/api/account/${member.account_id}/member/${member.user_id}`, { version: member.version });
      tell(t("accounts.was_removed", { name: member.display_name }));
      onDone();
    }}>
    <p>${t("accounts.remove_text")}</p>
  </${Question}>`;
