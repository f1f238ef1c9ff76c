// The audit: who changed what, when, from where.

import { api } from "../../core/api.js";
import { useSettled } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { useParts } from "../../core/parts.js";
import { refine, to } from "../../core/route.js";
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { Button, Empty, Page, Problem, When } from "../../ui/basics.js";
import { Whose } from "../../ui/sought.js";
import { More, Table } from "../../ui/table.js";
import { beginOf, endOf } from "../people/days.js";
import { Refined } from "../people/parts.js";
import { AuditRow } from "./row.js";
import { Actor, ACTIONS, ACTORS, actionText, kindText, KINDS, nameOf } from "./words.js";

const SHOWN = 50;
const FILTERS = ["object_kind", "object_id", "actor", "action", "from", "until"];

export default function Audit({ query }) {
  const given = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const ask = (cursor, signal) => api.get("/api/audit", { ...parametersOf(given), cursor, limit: SHOWN }, { signal });
  const { answer, more, busy, failure } = useParts(ask, Object.values(given));
  const filtered = Object.values(given).some(Boolean);
  const clear = () => refine(Object.fromEntries(FILTERS.map((name) => [name, ""])));
  return html`<${Page} title=${t("page.audit")} text=${t("audit.text")}>
    <${Filters} query=${query} given=${given} clear=${filtered && clear} />
    <${Table} label=${t("page.audit")} columns=${columns(query)} answer=${answer}
      empty=${html`<${Empty} icon="audit" title=${t("audit.none")}>${filtered
        && html`<${Button} onClick=${clear}>${t("people.show_all")}</${Button}>`}</${Empty}>`}
      foot=${more && html`<${More} onMore=${more} busy=${busy} />`} />
    <${Problem} failure=${failure} retry=${more} />
    ${query.get("row") && html`<${AuditRow} key=${query.get("row")} id=${Number(query.get("row"))} known=${answer.data}
      onClose=${() => refine({ row: "" })} />`}
  </${Page}>`;
}

/** Filters as the API takes them: days become seconds, and an id says of what it is. */
function parametersOf({ from, until, object_id, ...rest }) {
  return {
    ...rest, object_id: rest.object_kind ? object_id : "",
    start: from && beginOf(from), end: until && endOf(until) + 1,
  };
}

function Filters({ query, given, clear }) {
  const actions = ACTIONS.filter((each) => !given.object_kind || each.startsWith(`${given.object_kind}.`));
  const actionOptions = actions.map((each) => [each, `${kindText(each.split(".")[0])}: ${actionText(each)}`]);
  return html`<div class="filters" role="search">
    <${Refined} query=${query} name="object_kind" label=${t("audit.kind")}
      options=${[["", t("audit.any_kind")], ...KINDS.map((kind) => [kind, kindText(kind)])]} />
    ${given.object_kind && html`<${Typed} name="object_id" label=${t("audit.object_id")} given=${given} />`}
    <${Refined} query=${query} name="action" label=${t("audit.action")} options=${[["", t("audit.any_action")], ...actionOptions]} />
    <${Whose} label=${t("audit.who")} value=${given.actor.replace("user:", "")} onChange=${(actor) => refine({ actor })}
      fixed=${[["", t("audit.anybody")], ...ACTORS.map((each) => [each, t(`audit.actor.${each}`)])]} />
    <div class="row"><${Day} name="from" label=${t("audit.from")} given=${given} />
      <${Day} name="until" label=${t("audit.until")} given=${given} /></div>
    ${clear && html`<${Button} tone="quiet" icon="close" onClick=${clear}>${t("audit.clear")}</${Button}>`}
  </div>`;
}

/** A filter that is typed, and counts when the typing ends. */
function Typed({ name, label, given }) {
  const [text, setText] = useState(given[name]);
  const settled = useSettled(text, 400);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) refine({ [name]: settled.trim() });
    first.current = false;
  }, [settled]);
  useEffect(() => { if (given[name] !== text.trim()) setText(given[name]); }, [given[name]]);
  return html`<input class="narrow" aria-label=${label} placeholder=${label} value=${text}
    onInput=${(event) => setText(event.target.value)} />`;
}

const Day = ({ name, label, given }) => html`
  <label class="row tight"><span class="muted small">${label}</span><input type="date" value=${given[name]}
    onChange=${(event) => refine({ [name]: event.target.value })} /></label>`;

const columns = (query) => [
  { name: "what", title: t("audit.what"), head: true, cell: (row) => html`
    <a href=${to("/admin/audit", { ...Object.fromEntries(query), row: row.id })}>${nameOf(row)}</a>
    <div class="small">${actionText(row.action)}</div>` },
  { name: "who", title: t("audit.who"), cell: (row) => html`<${Actor} row=${row} />` },
  { name: "fields", title: t("audit.fields"), cell: (row) => html`<span class="muted small">${fieldsOf(row) || "–"}</span>` },
  { name: "address", title: t("audit.address"), cell: (row) => html`<span class="mono">${row.address ?? "–"}</span>` },
  { name: "time", title: t("audit.time"), cell: (row) => html`<${When} at=${row.at} />` },
];

const MOST_FIELDS = 4;
// These go up with every change, which says nothing.
const COUNTERS = new Set(["version", "gver"]);

/** The names of what was changed. */
function fieldsOf({ before, after }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter((name) => !COUNTERS.has(name));
  return names.slice(0, MOST_FIELDS).join(", ") + (names.length > MOST_FIELDS ? " …" : "");
}
