import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Menu, Page, Tag, When } from "../../ui/basics.js";
import { DeleteEntry, EntryFilters, EntryName, NoEntries, entryActions, here, useEntries } from "../../ui/entries.js";
import { useEntry } from "../../ui/entry_form.js";
import { Few } from "../../ui/names.js";
import { Pager, Table } from "../../ui/table.js";
import { UpstreamDrawer } from "./drawer.js";
import { OfferedDrawer } from "./offered.js";
import { TestDrawer } from "./test.js";

const PATH = "/api/upstream";
const CLOSED = { edit: "", new: "", test: "", offers: "" };

export default function Upstreams({ query }) {
  const { may } = useSession();
  const writes = may("catalog.write");
  const { answer, filtered } = useEntries(PATH, query);
  const out = useOutages();
  const [removed, setRemoved] = useState(null);
  const add = writes && html`<${Button} tone="primary" icon="plus"
    onClick=${() => refine({ new: "yes" })}>${t("upstreams.add")}</${Button}>`;
  return html`
    <${Page} title=${t("page.upstreams")} text=${t("upstreams.text")} actions=${add}>
      <${EntryFilters} label=${t("upstreams.search")} query=${query} />
      <${Table} label=${t("page.upstreams")} columns=${columns(out, writes, setRemoved)} answer=${answer} items=${(page) => page.items}
        rowKey=${(row) => row.name} foot=${answer.data && html`<${Pager} page=${answer.data} onPage=${(p) => refine({ p })} />`}
        empty=${html`<${NoEntries} filtered=${filtered} icon="upstream" title=${t("upstreams.none")}
        text=${t("upstreams.none_text")}>${add}</${NoEntries}>`} />
    </${Page}>
    <${Opened} query=${query} reload=${answer.reload} />
    ${removed && html`<${DeleteEntry} path=${PATH} entry=${removed} title=${t("upstreams.delete", { name: removed.name })}
      onClose=${() => setRemoved(null)} onDone=${answer.reload}>${t("upstreams.delete_text")}</${DeleteEntry}>`}`;
}

/** When upstreams went out, by their names; none where the server does not tell. */
function useOutages() {
  const { data } = useAnswer((signal) => api.get("/api/state", {}, { signal }), [], { every: 10 });
  return Object.fromEntries((data?.upstreams ?? []).filter((each) => each.out_since).map((each) => [each.name, each.out_since]));
}

const columns = (out, writes, remove) => [
  { name: "name", title: t("upstreams.name"), head: true, cell: (row) => html`<${EntryName} entry=${row}>
    ${out[row.name] && html`<${Tag} tone="bad">${t("upstreams.out")} <${When} at=${out[row.name]} /></${Tag}>`}</${EntryName}>` },
  { name: "base_url", title: t("upstreams.address"), cell: (row) => html`<div><code class="break">${row.base_url}</code>
    <div class="muted small">${t(`upstreams.dialect.${row.dialect}`)}</div></div>` },
  { name: "models", title: t("upstreams.models"), cell: (row) =>
    html`<${Few} names=${Array.isArray(row.models) ? row.models : Object.keys(row.models)} />` },
  { name: "keys", title: t("upstreams.keys"), cell: (row) => html`<${Keys} upstream=${row} />` },
  { name: "priority", title: t("upstreams.priority"), number: true, cell: (row) => row.priority },
  { name: "weight", title: t("upstreams.weight"), number: true, cell: (row) => row.weight },
  { name: "actions", title: t("actions"), actions: true, cell: (row) => html`<${Menu} label=${t("upstreams.actions", { name: row.name })}
    items=${[
    writes && { icon: "play", text: t("upstreams.test"), href: here({ test: row.name }) },
    { icon: "models", text: t("upstreams.offers"), href: here({ offers: row.name }) },
    ...entryActions({ entry: row, writes, remove: () => remove(row) }),
  ]} />` },
];

/** The ends of its keys, and no more than that is known here. */
function Keys({ upstream }) {
  const { api_keys: keys, file_only: file } = upstream;
  if (keys.length) return html`<${Few} names=${keys} most=${2} />`;
  const elsewhere = file?.api_key_envs.length;
  return html`<span class="muted">${t(elsewhere ? "upstreams.key_elsewhere" : "upstreams.no_key")}</span>`;
}

function Opened({ query, reload }) {
  const [which, name] = ["edit", "test", "offers"].map((each) => [each, query.get(each)]).find(([, value]) => value) ?? ["", ""];
  const close = () => refine(CLOSED);
  const [round, setRound] = useState(0);
  const entry = useEntry(PATH, name, close, round);
  // A new upstream is tested before anything else is done with it.
  const saved = (upstream, created) => {
    reload();
    refine({ ...CLOSED, test: created ? upstream.name : "" });
  };
  const added = () => {
    reload();
    setRound(round + 1);
  };
  if (query.get("new")) return html`<${UpstreamDrawer} key="new" onClose=${close} onSaved=${saved} />`;
  if (!entry) return null;
  const given = { key: `${which} ${name}`, entry, onClose: close, onSaved: saved };
  if (which === "test") return html`<${TestDrawer} ...${given} />`;
  return which === "offers" ? html`<${OfferedDrawer} ...${given} onSaved=${added} />` : html`<${UpstreamDrawer} ...${given} />`;
}
