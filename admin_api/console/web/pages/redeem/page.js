// Redeem codes: made in batches, shown once, used once; what has become of each.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useState } from "../../core/view.js";
import { Button, Empty, Page, Tag, When } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { Pager, Table } from "../../ui/table.js";
import { Refined } from "../people/parts.js";
import { CreateCodes } from "./create.js";

const STATES = ["unused", "used", "expired", "revoked"];
const TONES = { unused: "good", used: "accent", revoked: "bad" };

export default function Codes({ query }) {
  const { may } = useSession();
  const asked = { p: query.get("p"), state: query.get("state"), batch_id: query.get("batch_id") };
  const answer = useAnswer((signal) => api.get("/api/redeem", { ...asked, page_size: 50 }, { signal }), Object.values(asked));
  const [chosen, setChosen] = useState(new Set());
  const [revoking, revoke] = useState(null);
  const writes = may("account.write_any");
  useEffect(() => setChosen(new Set()), Object.values(asked));
  const open = (answer.data?.items ?? []).filter((each) => each.state === "unused" && chosen.has(each.id)).map((each) => each.id);
  const done = () => { setChosen(new Set()); answer.reload(); };
  const create = writes && html`<${Button} tone="primary" icon="plus"
    onClick=${() => refine({ new: 1 })}>${t("redeem.create")}</${Button}>`;
  return html`<${Page} title=${t("page.redeem")} text=${t("redeem.text")} actions=${create}>
    <div class="filters">
      <${Refined} query=${query} name="state" label=${t("redeem.state")}
        options=${[["", t("redeem.any_state")], ...STATES.map((each) => [each, t(`redeem.state.${each}`)])]} />
      ${asked.batch_id && html`<${Button} icon="close"
        onClick=${() => refine({ batch_id: "", p: "" })}>${t("redeem.of_batch", { id: asked.batch_id })}</${Button}>`}
      ${writes && open.length > 0
        && html`<${Button} tone="danger"
          onClick=${() => revoke({ ids: open })}>${t("redeem.revoke_chosen", { count: open.length })}</${Button}>`}
      ${writes && asked.batch_id
        && html`<${Button} tone="danger"
          onClick=${() => revoke({ batch_id: Number(asked.batch_id) })}>${t("redeem.revoke_batch")}</${Button}>`}
    </div>
    <${Table} label=${t("page.redeem")} columns=${columns(query)} answer=${answer}
      items=${(data) => data.items.map((each) => ({ ...each, name: each.code }))}
      chosen=${chosen} onChoose=${writes && setChosen}
      empty=${html`<${Empty} icon="redeem" title=${t("redeem.none")} text=${t("redeem.none_text")} />`}
      foot=${answer.data?.total > 0 && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`} />
    ${query.get("new") && html`<${CreateCodes} onClose=${() => refine({ new: "" })} onCreated=${answer.reload} />`}
    ${revoking && html`<${Revoke} what=${revoking} onClose=${() => revoke(null)} onRevoked=${done} />`}
  </${Page}>`;
}

const columns = (query) => [
  { name: "code", title: t("redeem.code"), head: true,
    cell: (row) => html`<code>${row.code}</code>${row.note && html`<div class="muted small">${row.note}</div>`}` },
  { name: "amount", title: t("redeem.amount"), number: true, cell: (row) => usd(row.amount_usd) },
  { name: "state", title: t("redeem.state"), cell: (row) => html`<${State} row=${row} />` },
  { name: "batch", title: t("redeem.batch"), cell: (row) => html`
    <a href=${to("/admin/redeem", { ...Object.fromEntries(query), batch_id: row.batch_id, p: "" })}
      title=${t("redeem.show_batch")}>${row.batch_id}</a>` },
  { name: "expires", title: t("redeem.expires"),
    cell: (row) => (row.expired_time < 0 ? t("never") : html`<${When} at=${row.expired_time} />`) },
  { name: "created", title: t("redeem.created"), cell: (row) => html`<${When} at=${row.created_time} />` },
];

function State({ row }) {
  const tag = html`<${Tag} tone=${TONES[row.state]}>${t(`redeem.state.${row.state}`)}</${Tag}>`;
  if (row.state !== "used") return tag;
  return html`<div class="stack tight"><span>${tag}</span>
    <span class="small muted"><a href=${to("/admin/users", { user: row.used_by })}>${row.used_by_name ?? row.used_by}</a>${", "}
      <${When} at=${row.used_time} /></span></div>`;
}

const Revoke = ({ what, onClose, onRevoked }) => html`
  <${Question} title=${what.ids ? t("redeem.revoke_title", { count: what.ids.length })
    : t("redeem.revoke_batch_title", { id: what.batch_id })}
    action=${t("redeem.revoke")} onClose=${onClose}
    act=${async () => {
      const count = await api.post("/api/redeem/revoke", what);
      tell(t("redeem.was_revoked", { count }));
      onRevoked();
    }}>
    <p>${t("redeem.revoke_text")}</p>
  </${Question}>`;
