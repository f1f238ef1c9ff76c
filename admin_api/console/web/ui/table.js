// Tables: sorted and turned over by the server; on a phone each row is a card.

import { number } from "../core/format.js";
import { t } from "../core/messages.js";
import { classes, html } from "../core/view.js";
import { Button, Empty, Loading, Problem } from "./basics.js";
import { Icon } from "./icons.js";

/**
 * A table of `answer.data` (of `useAnswer`), or of what `items(data)` takes from it.
 *
 * `columns`: {name, title, cell(row), number, sort: name for the server, head: names the row, actions}.
 * `sort` is {by, descending}, `onSort(by, descending)`. `chosen` is a Set of `rowKey(row)`, `onChoose(Set)`.
 */
export function Table({ label, columns, answer, items = (data) => data, rowKey = (row) => row.id, sort, onSort, chosen, onChoose, empty, foot }) {
  if (answer.data === undefined) {
    return html`<div class="card">${answer.failure
      ? html`<${Problem} failure=${answer.failure} retry=${answer.reload} />` : html`<${Loading} lines=${6} />`}</div>`;
  }
  const rows = items(answer.data);
  const keys = rows.map(rowKey);
  const all = keys.length > 0 && keys.every((key) => chosen?.has(key));
  const choose = (which, on) => {
    const next = new Set(chosen);
    for (const key of which) on ? next.add(key) : next.delete(key);
    onChoose(next);
  };
  return html`
    <div class="card flush">
      ${answer.failure && html`<${Problem} failure=${answer.failure} retry=${answer.reload} />`}
      ${rows.length === 0 ? empty ?? html`<${Empty} title=${t("nothing_here")} />` : html`
        <div class="table-wrap"><table class=${classes("cards", answer.loading && "busy")} aria-busy=${answer.loading ? "true" : "false"}>
          <caption class="only-read">${label}</caption>
          <thead><tr>
            ${onChoose && html`<th scope="col"><input type="checkbox" aria-label=${t("choose_all")} checked=${all}
              onChange=${(event) => choose(keys, event.target.checked)} /></th>`}
            ${columns.map((column) => html`<${Head} key=${column.name} column=${column} sort=${sort} onSort=${onSort} />`)}
          </tr></thead>
          <tbody>${rows.map((row) => html`
            <tr key=${rowKey(row)}>
              ${onChoose && html`<td><input type="checkbox" aria-label=${t("choose_row", { name: row.name ?? rowKey(row) })}
                checked=${chosen.has(rowKey(row))} onChange=${(event) => choose([rowKey(row)], event.target.checked)} /></td>`}
              ${columns.map((column) => html`<${Cell} key=${column.name} column=${column} row=${row} />`)}
            </tr>`)}
          </tbody>
        </table></div>`}
      ${foot && html`<div class="table-foot">${foot}</div>`}
    </div>`;
}

function Head({ column, sort, onSort }) {
  const sorted = sort && column.sort && sort.by === column.sort;
  const direction = sorted ? (sort.descending ? "descending" : "ascending") : undefined;
  return html`
    <th scope="col" class=${classes(column.number && "number", column.actions && "actions")} aria-sort=${direction}>
      ${column.sort && onSort
        ? html`<button type="button" onClick=${() => onSort(column.sort, sorted ? !sort.descending : true)}>
            ${column.title}${sorted && html`<${Icon} name=${sort.descending ? "down" : "up"} />`}</button>`
        : column.actions ? html`<span class="only-read">${column.title}</span>` : column.title}
    </th>`;
}

function Cell({ column, row }) {
  const content = html`<div class="break">${column.cell(row)}</div>`;
  if (column.head) return html`<th scope="row">${content}</th>`;
  const label = column.actions ? undefined : column.title;
  return html`<td class=${classes(column.number && "number", column.actions && "actions")} data-label=${label}>${column.cell(row)}</td>`;
}

/** Which page of how many, and ways to the others. `page` is {page, page_size, total, total_is_estimate}. */
export function Pager({ page, onPage }) {
  const from = page.total ? (page.page - 1) * page.page_size + 1 : 0;
  const until = Math.min(page.page * page.page_size, Math.max(page.total, from));
  const values = { from: number(from), until: number(until), total: number(page.total) };
  return html`
    <span class="tabular">${t(page.total_is_estimate ? "page_of_about" : "page_of", values)}</span>
    <span class="row">
      <${Button} size="small" icon="left" label=${t("page_before")} disabled=${page.page <= 1} onClick=${() => onPage(page.page - 1)} />
      <${Button} size="small" icon="right" label=${t("page_after")} disabled=${page.page * page.page_size >= page.total} onClick=${() => onPage(page.page + 1)} />
    </span>`;
}

/** For lists by cursor: a button for more. */
export const More = ({ onMore, busy }) => html`
  <span></span><${Button} size="small" busy=${busy} onClick=${onMore}>${t("show_more")}</${Button}>`;
