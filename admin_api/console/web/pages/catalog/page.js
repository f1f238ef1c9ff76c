import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Menu, Page, Tag } from "../../ui/basics.js";
import { DeleteEntry, EntryFilters, EntryName, NoEntries, entryActions, here, useEntries } from "../../ui/entries.js";
import { useEntry } from "../../ui/entry_form.js";
import { Few } from "../../ui/names.js";
import { Pager, Table } from "../../ui/table.js";
import { ModelDrawer } from "./drawer.js";
import { groupsWith } from "./reach.js";
import { perMillion } from "./prices.js";

const PATH = "/api/model";
const SOURCES = ["file", "api", "book", "upstream"];

export default function Models({ query }) {
  const { may } = useSession();
  const writes = may("catalog.write");
  const { answer, filtered } = useEntries(PATH, query);
  const groups = useAnswer((signal) => api.get("/api/group", { size: 100 }, { signal }), []).data?.items ?? [];
  const [removed, setRemoved] = useState(null);
  const add = writes && html`<${Button} tone="primary" icon="plus" onClick=${() => refine({ new: "yes" })}>${t("catalog.add")}</${Button}>`;
  return html`
    <${Page} title=${t("page.catalog")} text=${t("catalog.text")} actions=${add}>
      <${EntryFilters} label=${t("catalog.search")} query=${query} sources=${SOURCES} />
      <${Table} label=${t("page.catalog")} columns=${columns(groups, writes, setRemoved)} answer=${answer} items=${(page) => page.items}
        rowKey=${(row) => row.name} foot=${answer.data && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`}
        empty=${html`<${NoEntries} filtered=${filtered} icon="models" title=${t("catalog.none")}
        text=${t("catalog.none_text")}>${add}</${NoEntries}>`} />
    </${Page}>
    <${Opened} query=${query} groups=${groups} reload=${answer.reload} />
    ${removed && html`<${DeleteEntry} path=${PATH} entry=${removed} title=${t("catalog.delete", { name: removed.name })}
      onClose=${() => setRemoved(null)} onDone=${answer.reload}>${t("catalog.delete_text")}</${DeleteEntry}>`}`;
}

const columns = (groups, writes, remove) => [
  { name: "name", title: t("catalog.name"), head: true, cell: (row) => html`<${EntryName} entry=${row} />` },
  { name: "input", title: t("catalog.input"), number: true, cell: (row) => html`<${Figure} model=${row} kind="input" />` },
  { name: "cached", title: t("catalog.cached"), number: true, cell: (row) => html`<${Figure} model=${row} kind="cached_input" />` },
  { name: "output", title: t("catalog.output"), number: true, cell: (row) => html`<${Figure} model=${row} kind="output" />` },
  { name: "price", title: t("catalog.price"), cell: (row) => html`<${Standing} model=${row} />` },
  { name: "upstreams", title: t("catalog.upstreams"), cell: (row) => html`<${Few} names=${row.members ? [] : row.upstreams} most=${2} />` },
  { name: "groups", title: t("catalog.groups"), cell: (row) => html`<${Few} names=${groupsWith(row, groups)} most=${2} />` },
  { name: "actions", title: t("actions"), actions: true, cell: (row) => html`<${Menu} label=${t("catalog.actions", { name: row.name })}
    items=${actions(row, writes, remove)} />` },
];

const Figure = ({ model, kind }) => {
  const price = model.effective?.price;
  return price ? perMillion(price[`${kind}_usd_per_mtok`]) : html`<span class="muted">–</span>`;
};

/** Where the price is from; what has none is marked, because capped keys cannot call it. */
function Standing({ model }) {
  if (model.members) {
    return html`<span class="row tight"><span class="muted">${t("catalog.stands_for")}</span><${Few} names=${model.members}
      most=${2} /></span>`;
  }
  if (!model.effective?.price) return html`<${Tag} tone="warn">${t("catalog.no_price")}</${Tag}>`;
  return html`<span class="muted">${t(`catalog.from.${model.effective.price_source}`)}</span>`;
}

function actions(row, writes, remove) {
  if (row.source === "file" || row.source === "api") return entryActions({ entry: row, writes, remove: () => remove(row) });
  return [{ icon: writes ? "price" : "eye", text: t(writes ? "catalog.set_price" : "entries.view"), href: here({ edit: row.name }) }];
}

function Opened({ query, groups, reload }) {
  const name = query.get("edit") ?? "";
  const wanted = query.get("new") ?? "";
  const close = () => refine({ edit: "", new: "" });
  const entry = useEntry(PATH, name, close);
  const saved = () => {
    reload();
    close();
  };
  if (wanted) return html`<${ModelDrawer} key="new" name=${wanted === "yes" ? "" : wanted} groups=${groups} onClose=${close}
    onSaved=${saved} />`;
  return entry && html`<${ModelDrawer} key=${name} entry=${entry} groups=${groups} onClose=${close} onSaved=${saved} />`;
}
