import { duration, money } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Empty } from "../../ui/basics.js";
import { Table } from "../../ui/table.js";

/** The calls that run now, and what is held for them. */
export function Calls({ sums, answer }) {
  return html`
    <section class="stack tight">
      <h2>${t("state.calls_now")}</h2>
      ${answer.data !== null && html`
        <${Table} label=${t("state.calls_now")} columns=${columns()} answer=${{ ...answer, loading: false }}
          rowKey=${(row) => row.request_id}
          empty=${html`<${Empty} icon="state" title=${t("state.calls_none")} text=${t("state.calls_none_text")} />`} />`}
      ${sums && answer.data && sums.running > answer.data.length &&
        html`<p class="muted small">${t("state.calls_oldest", { count: answer.data.length })}</p>`}
    </section>`;
}

const columns = () => [
  { name: "token", title: t("state.key"), head: true, cell: (row) => html`<${Key} call=${row} />` },
  { name: "model", title: t("state.model"), cell: (row) => html`<code>${row.model || "–"}</code>` },
  { name: "user", title: t("state.user"), cell: (row) => row.username ?? `#${row.user_id}` },
  { name: "age", title: t("state.age"), number: true, cell: (row) => duration(row.age_s * 1000) },
  { name: "held", title: t("state.held"), number: true, cell: (row) => money(row.held_quota) },
];

const Key = ({ call }) => html`
  <a class="name" href=${to("/keys", { user_id: call.user_id, edit: call.token_id })}>${call.token_name ?? `#${call.token_id}`}</a>`;
