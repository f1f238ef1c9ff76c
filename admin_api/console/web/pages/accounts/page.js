// Accounts: the wallets of everybody, with what is left on them.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { go, refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty, Page, When } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Search, Text } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { Pager, Table } from "../../ui/table.js";
import { FormProblem, Person, Refined, StatusTag, statusOptions, useKeyword } from "../people/parts.js";
import { Balance, Cap, sentCap } from "./parts.js";

const SHOWN = 20;

export default function Accounts({ query }) {
  const { may } = useSession();
  const asked = {
    p: query.get("p"), keyword: query.get("keyword"), status: query.get("status"), user_id: query.get("user_id") || "all",
  };
  const answer = useAnswer((signal) => api.get("/api/account", { ...asked, page_size: SHOWN }, { signal }), Object.values(asked));
  const [text, setText] = useKeyword(query);
  const filtered = asked.keyword || asked.status || asked.user_id !== "all";
  const create = may("account.write_any") && html`
    <${Button} tone="primary" icon="plus" onClick=${() => refine({ new: 1 })}>${t("accounts.create")}</${Button}>`;
  return html`<${Page} title=${t("page.accounts")} text=${t("accounts.text")} actions=${create}>
    <div class="filters" role="search">
      <${Search} label=${t("people.search_account")} value=${text} onInput=${setText} />
      <${Refined} query=${query} name="status" label=${t("people.status")} options=${statusOptions()} />
      ${asked.user_id !== "all"
        && html`<${Button} icon="close"
          onClick=${() => refine({ user_id: "", p: "" })}>${t("accounts.of_user", { id: asked.user_id })}</${Button}>`}
    </div>
    <${Table} label=${t("page.accounts")} columns=${columns()} answer=${answer} items=${(data) => data.items}
      empty=${filtered && html`<${Empty} title=${t("people.nothing_found")}>
        <${Button} onClick=${() => refine({ keyword: "", status: "", user_id: "", p: "" })}>${t("people.show_all")}</${Button}></${Empty}>`}
      foot=${answer.data?.total > 0 && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`} />
    ${query.get("new") && html`<${CreateAccount} onClose=${() => refine({ new: "" })} />`}
  </${Page}>`;
}

const columns = () => [
  { name: "name", title: t("accounts.name"), head: true, cell: (row) => html`<a href=${to(`/admin/accounts/${row.id}`)}>${row.name}</a>` },
  { name: "owner", title: t("accounts.owner"), cell: (row) => row.owner ?? html`<span class="muted">${t("accounts.no_owner")}</span>` },
  { name: "balance", title: t("accounts.left"), cell: (row) => html`<${Balance} of=${row} />` },
  { name: "members", title: t("accounts.members"), number: true,
    cell: (row) => html`<span class="row tight end"><${Icon} name="people" />${row.member_total}</span>` },
  { name: "status", title: t("people.status"), cell: (row) => html`<${StatusTag} status=${row.status} />` },
  { name: "created", title: t("people.created"), cell: (row) => html`<${When} at=${row.created_time} />` },
];

function CreateAccount({ onClose }) {
  const [draft, setDraft] = useState({ name: "", owner: "", owner_id: undefined, cap: { capped: true, amount: "0" } });
  const [key, setKey] = useState(once);
  const { may } = useSession();
  const { busy, failure, run } = useSending();
  const change = (part) => { setDraft((before) => ({ ...before, ...part })); setKey(once()); };
  const unknown = draft.owner.trim() !== "" && draft.owner_id === undefined;
  const send = () => run(async () => {
    const body = { name: draft.name, quota_usd: sentCap(draft.cap), ...(draft.owner_id ? { owner_id: draft.owner_id } : {}) };
    const made = await api.post("/api/account", body, { once: key });
    go(`/admin/accounts/${made.id}`);
  });
  return html`<${Drawer} title=${t("accounts.create")} onClose=${onClose} onSubmit=${send} keep foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy} disabled=${unknown}>${t("create")}</${Button}>`}>
    <${Text} label=${t("accounts.name")} hint=${t("accounts.name_hint")} value=${draft.name} mistake=${failure?.of?.("name")}
      onInput=${(name) => change({ name })} />
    <${Person} label=${t("accounts.owner")} hint=${unknown ? t("accounts.owner_unknown") : t("accounts.owner_hint")}
      suggest=${may("user.read")} value=${draft.owner}
      mistake=${failure?.of?.("owner_id")} onInput=${(owner, owner_id) => change({ owner, owner_id })} />
    <${Cap} label=${t("accounts.money")} none=${t("unlimited")} hint=${t("accounts.first_grant_hint")} value=${draft.cap}
      onChange=${(cap) => change({ cap })}
      mistake=${failure?.of?.("quota_usd")} />
    <${FormProblem} failure=${failure} placed=${["name", "owner_id", "quota_usd"]} />
  </${Drawer}>`;
}
