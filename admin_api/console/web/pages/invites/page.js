// Invitations: with which people become users by themselves.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty, Notice, Page, Tag, When } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { Search } from "../../ui/form.js";
import { Pager, Table } from "../../ui/table.js";
import { useKeyword } from "../people/parts.js";
import { RoleTag } from "../people/roles.js";
import { CreateInvite } from "./create.js";

export default function Invites({ query }) {
  const { may, status } = useSession();
  const asked = { p: query.get("p"), keyword: query.get("keyword") };
  const answer = useAnswer((signal) => api.get("/api/invite", { ...asked, page_size: 20 }, { signal }), Object.values(asked));
  const [text, setText] = useKeyword(query);
  const [revoking, revoke] = useState(null);
  // Where people sign in with a provider, an invitation may be of use though nobody registers here.
  const useless = status.registration === "closed" && !status.oidc_providers?.length;
  const writes = may("user.write");
  const create = writes && html`<span title=${useless ? t("invites.closed") : undefined}>
    <${Button} tone="primary" icon="plus" disabled=${useless}
      onClick=${() => refine({ new: 1 })}>${t("invites.create")}</${Button}></span>`;
  return html`<${Page} title=${t("page.invites")} text=${t("invites.text")} actions=${create}>
    <div class="stack">
      <${Notice} tone=${status.registration === "closed" && "warn"}>${t(`invites.registration.${status.registration}`)}</${Notice}>
      <div>
        <div class="filters" role="search"><${Search} label=${t("invites.search")} value=${text} onInput=${setText} /></div>
        <${Table} label=${t("page.invites")} columns=${columns({ writes, revoke })} answer=${answer} items=${(data) => data.items}
          empty=${html`<${Empty} icon="mail" title=${asked.keyword ? t("people.nothing_found") : t("invites.none")}
            text=${asked.keyword ? undefined : t("invites.none_text")} />`}
          foot=${answer.data?.total > 0 && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`} />
      </div>
    </div>
    ${query.get("new") && !useless && html`<${CreateInvite} onClose=${() => refine({ new: "" })} onCreated=${answer.reload} />`}
    ${revoking && html`<${Revoke} invite=${revoking} onClose=${() => revoke(null)} onRevoked=${answer.reload} />`}
  </${Page}>`;
}

const columns = ({ writes, revoke }) => [
  { name: "whom", title: t("invites.whom"), head: true, cell: (row) => row.email ?? t("invites.by_link") },
  { name: "state", title: t("invites.state"), cell: (row) => html`<${State} row=${row} />` },
  { name: "role", title: t("people.role"), cell: (row) => html`<${RoleTag} role=${row.role} />` },
  { name: "group", title: t("people.group"), cell: (row) => row.group },
  { name: "account", title: t("people.account"), cell: (row) => (row.account_id
    ? html`<a href=${to(`/admin/accounts/${row.account_id}`)}>${row.account_id}</a>`
    : html`<span class="muted">${t("invites.own_wallet")}</span>${row.grant_usd !== null && html`<div class="small">${usd(row.grant_usd)}</div>`}`) },
  { name: "used", title: t("invites.used"), number: true, cell: (row) => t("invites.used_of", { used: row.used, uses: row.uses }) },
  { name: "expires", title: t("invites.expires"), cell: (row) => html`<${When} at=${row.expired_time} />` },
  { name: "by", title: t("invites.by"), cell: (row) => row.username },
  writes && { name: "actions", title: t("actions"), actions: true, cell: (row) => stateOf(row) === "open" && html`
    <${Button} size="small" tone="danger" onClick=${() => revoke(row)}>${t("invites.revoke")}</${Button}>` },
].filter(Boolean);

const TONES = { open: "good", used_up: "accent", revoked: "bad" };

function stateOf(row) {
  if (row.revoked) return "revoked";
  if (row.used >= row.uses) return "used_up";
  return row.expired_time <= Date.now() / 1000 ? "expired" : "open";
}

const State = ({ row }) => html`<${Tag} tone=${TONES[stateOf(row)]}>${t(`invites.state.${stateOf(row)}`)}</${Tag}>`;

const Revoke = ({ invite, onClose, onRevoked }) => html`
  <${Question} title=${t("invites.revoke_title")} action=${t("invites.revoke")} onClose=${onClose}
    act=${async () => {
      await api.delete(`/api/invite/${invite.id}`);
      tell(t("invites.was_revoked"));
      onRevoked();
    }}>
    <p>${t("invites.revoke_text", { whom: invite.email ?? t("invites.by_link") })}</p>
  </${Question}>`;
