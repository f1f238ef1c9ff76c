import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Menu, Page, Tag } from "../../ui/basics.js";
import { DeleteEntry, EntryFilters, EntryName, NoEntries, entryActions, useEntries } from "../../ui/entries.js";
import { useEntry } from "../../ui/entry_form.js";
import { limitText } from "../../ui/limits.js";
import { Few } from "../../ui/names.js";
import { Pager, Table } from "../../ui/table.js";
import { GroupDrawer } from "./drawer.js";

const PATH = "/api/group";

export default function Groups({ query }) {
  const { may } = useSession();
  const writes = may("catalog.write");
  const { answer, filtered } = useEntries(PATH, query);
  const [removed, setRemoved] = useState(null);
  const add = writes && html`<${Button} tone="primary" icon="plus" onClick=${() => refine({ new: "yes" })}>${t("groups.add")}</${Button}>`;
  return html`
    <${Page} title=${t("page.groups")} text=${t("groups.text")} actions=${add}>
      <${EntryFilters} label=${t("groups.search")} query=${query} />
      <${Table} label=${t("page.groups")} columns=${columns(writes, setRemoved)} answer=${answer} items=${(page) => page.items}
        rowKey=${(row) => row.name} foot=${answer.data && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`}
        empty=${html`<${NoEntries} filtered=${filtered} icon="group" title=${t("groups.none")}
        text=${t("groups.text")}>${add}</${NoEntries}>`} />
    </${Page}>
    <${Opened} query=${query} reload=${answer.reload} />
    ${removed && html`<${DeleteEntry} path=${PATH} entry=${removed} title=${t("groups.delete", { name: removed.name })}
      onClose=${() => setRemoved(null)} onDone=${answer.reload}>${t("groups.delete_text")}</${DeleteEntry}>`}`;
}

const columns = (writes, remove) => [
  { name: "name", title: t("groups.name"), head: true, cell: (row) => html`<div>
    <${EntryName} entry=${row}>${row.name === "default" && html`<${Tag} tone="accent">${t("groups.default")}</${Tag}>`}</${EntryName}>
    ${row.description && html`<div class="muted small break plain">${row.description}</div>`}</div>` },
  { name: "users", title: t("groups.users"), cell: (row) =>
    html`<${Tag} tone=${row.users === "all" && "good"}>${t(`groups.users.${row.users}`)}</${Tag}>` },
  { name: "reach", title: t("groups.models"), cell: (row) => (row.groups.length
    ? html`<span class="row tight"><span class="muted">${t("groups.stands_for")}</span><${Few} names=${row.groups} /></span>`
    : html`<${Few} names=${row.models} />`) },
  { name: "upstreams", title: t("groups.upstreams"), cell: (row) => html`<${Few} names=${row.groups.length ? [] : row.upstreams} />` },
  { name: "ratio", title: t("groups.ratio"), number: true, cell: (row) => (row.groups.length ? "–" : ratioText(row.ratio)) },
  { name: "limits", title: t("groups.rules"), cell: (row) => html`<${Rules} group=${row} />` },
  { name: "actions", title: t("actions"), actions: true, cell: (row) => html`<${Menu} label=${t("groups.actions", { name: row.name })}
    items=${entryActions({ entry: row, writes, remove: () => remove(row) })} />` },
];

const ratioText = (ratio) => `× ${number(ratio, { maximumFractionDigits: 6 })}`;

/** What binds in a group, in a line or two. */
function Rules({ group }) {
  const { token_defaults: defaults } = group;
  const told = [
    ...group.limits.map(limitText),
    group.max_concurrency && t("groups.at_once", { count: group.max_concurrency }),
    ...defaults.limits.map((each) => t("groups.each_key", { limit: limitText(each) })),
    defaults.max_concurrency && t("groups.each_key", { limit: t("groups.at_once", { count: defaults.max_concurrency }) }),
  ].filter(Boolean);
  if (!told.length) return html`<span class="muted">–</span>`;
  return html`<div class="small">${told.slice(0, 2).map((each) => html`<div>${each}</div>`)}
    ${told.length > 2 && html`<span class="muted"
      title=${told.slice(2).join("\n")}>${t("names.more", { count: told.length - 2 })}</span>`}</div>`;
}

function Opened({ query, reload }) {
  const name = query.get("edit") ?? "";
  const close = () => refine({ edit: "", new: "" });
  const entry = useEntry(PATH, name, close);
  const saved = () => {
    reload();
    close();
  };
  if (query.get("new")) return html`<${GroupDrawer} key="new" onClose=${close} onSaved=${saved} />`;
  return entry && html`<${GroupDrawer} key=${name} entry=${entry} onClose=${close} onSaved=${saved} />`;
}
