// One row of the audit: what was changed, old beside new, and the call that did it.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { dateTime, nusd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Answered, Copy, Empty } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Icon } from "../../ui/icons.js";
import { Actor, actionText, nameOf, placeOf } from "./words.js";

// In nano-dollars, which nobody reads.
const MONEY = new Set(["granted", "used", "delta", "amount"]);

/** `known` are rows that are here already; a row of an address that somebody sent is fetched. */
export function AuditRow({ id, known, onClose }) {
  const here = known?.find((row) => row.id === id);
  const fetched = async (signal) => (await api.get("/api/audit", { cursor: id + 1, limit: 1 }, { signal })).items.find((each) => each.id === id);
  const answer = useAnswer(async (signal) => here ?? (await fetched(signal)) ?? null, [id]);
  const row = here ?? answer.data;
  return html`<${Drawer} title=${row ? `${nameOf(row)}: ${actionText(row.action)}` : t("page.audit")} onClose=${onClose}>
    <${Answered} answer=${here ? { data: here } : answer}>${(found) => (found
      ? html`<${Facts} row=${found} /><${Difference} row=${found} />`
      : html`<${Empty} icon="audit" title=${t("audit.no_row")} />`)}</${Answered}>
  </${Drawer}>`;
}

const Facts = ({ row }) => html`
  <dl class="facts">
    <dt>${t("audit.who")}</dt><dd><${Actor} row=${row} /></dd>
    <dt>${t("audit.time")}</dt><dd>${dateTime(row.at)}</dd>
    <dt>${t("audit.action")}</dt><dd><code>${row.action}</code></dd>
    <dt>${t("audit.address")}</dt><dd>${row.address ? html`<code>${row.address}</code>` : "–"}</dd>
    <dt>${t("audit.request")}</dt><dd>${row.request_id
      ? html`<span class="row tight"><code>${row.request_id}</code><${Copy} text=${row.request_id} /></span>` : "–"}</dd>
  </dl>
  <div class="row">
    ${placeOf(row) && html`<a class="button small" href=${placeOf(row)}><${Icon} name="link" />${t("audit.show_it")}</a>`}
    <a class="button small" href=${to("/admin/audit", { object_kind: row.object_kind, object_id: row.object_id })}>
      <${Icon} name="audit" />${t("audit.of_it")}</a>
    <a class="button small" href=${to("/admin/audit", { actor: row.actor })}><${Icon} name="account" />${t("audit.by_them")}</a>
  </div>`;

function Difference({ row: { before, after } }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  if (names.length === 0) return html`<p class="muted">${t("audit.no_fields")}</p>`;
  const both = before && after;
  return html`<div class="table-wrap"><table class="difference">
    <caption class="only-read">${t("audit.fields")}</caption>
    <thead><tr><th scope="col">${t("audit.field")}</th>
      ${before && html`<th scope="col">${t(both ? "audit.before" : "audit.was")}</th>`}
      ${after && html`<th scope="col">${t(both ? "audit.after" : "audit.is")}</th>`}</tr></thead>
    <tbody>${names.map((name) => html`<tr key=${name}><th scope="row"><code>${name}</code></th>
      ${before && html`<td class=${both && "old"}><${Value} name=${name} value=${before[name]} /></td>`}
      ${after && html`<td class=${both && "new"}><${Value} name=${name} value=${after[name]} /></td>`}</tr>`)}</tbody>
  </table></div>`;
}

/** A value as people read it; the exact one on hover where it is rounded. */
function Value({ name, value }) {
  if (value === null || value === undefined || value === "") return html`<span class="muted">–</span>`;
  if (MONEY.has(name) && typeof value === "number") return html`<span title=${t("audit.nano", { value })}>${nusd(value)}</span>`;
  if (typeof value === "boolean") return t(value ? "audit.yes" : "audit.no");
  if (Array.isArray(value) && value.every((each) => typeof each !== "object")) {
    return value.length === 0 ? html`<span class="muted">${t("audit.empty_list")}</span>` : value.join(", ");
  }
  return typeof value === "object" ? html`<code class="json">${JSON.stringify(value, null, 1)}</code>` : String(value);
}
