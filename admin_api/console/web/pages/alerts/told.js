// What was told: a list with filters, and what became of each message.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { dateTime } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { useParts } from "../../core/parts.js";
import { refine, to } from "../../core/route.js";
import { classes, html } from "../../core/view.js";
import { Answered, Button, Empty, Problem, Tag, When } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Filter } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { More, Table } from "../../ui/table.js";
import { beginOf, endOf } from "../people/days.js";
import { About } from "./parts.js";
import { figuresText, iconOf, kindText, KINDS, STATE_TONES, STATES, toldText } from "./words.js";

const SHOWN = 20;
const FILTERS = ["kind", "state", "from", "until"];

/** The warnings of everybody, or one's `own`; `path` is the page that they stand on. */
export function Told({ query, own, path }) {
  const given = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const whose = own ? {} : { user_id: "all" };
  const ask = (cursor, signal) => api.get("/api/warning", { ...whose, ...parametersOf(given), cursor, limit: SHOWN }, { signal });
  const { answer, more, busy, failure } = useParts(ask, Object.values(given));
  const filtered = Object.values(given).some(Boolean);
  const title = t(own ? "alerts.own_list" : "alerts.list");
  return html`
    <section class="stack tight"><div><h2>${title}</h2><p class="muted">${t("alerts.list_text")}</p></div>
      <${Filters} given=${given} filtered=${filtered} own=${own} />
      <${Table} label=${title} columns=${columns(query, path, own)} answer=${answer}
        empty=${html`<${Empty} icon="alert" title=${t("alerts.none")} text=${t(filtered ? "alerts.none_filtered" : "alerts.none_text")} />`}
        foot=${more && html`<${More} onMore=${more} busy=${busy} />`} />
      <${Problem} failure=${failure} retry=${more} />
      ${query.get("warning") && html`<${One} key=${query.get("warning")} id=${Number(query.get("warning"))} known=${answer.data} whose=${whose} own=${own} />`}
    </section>`;
}

const parametersOf = ({ from, until, ...rest }) => ({ ...rest, start: from && beginOf(from), end: until && endOf(until) + 1 });

function Filters({ given, filtered, own }) {
  const kinds = KINDS.filter((kind) => !own || kind !== "upstream");
  const day = (name) => html`<label class="row tight"><span class="muted small">${t(`alerts.${name}`)}</span><input type="date"
    value=${given[name]} onChange=${(event) => refine({ [name]: event.target.value })} /></label>`;
  return html`
    <div class="filters bare">
      <${Filter} label=${t("alerts.kind")} value=${given.kind} onChange=${(kind) => refine({ kind })}
        options=${[["", t("alerts.any_kind")], ...kinds.map((kind) => [kind, kindText(kind)])]} />
      <${Filter} label=${t("alerts.state")} value=${given.state} onChange=${(state) => refine({ state })}
        options=${[["", t("alerts.any_state")], ...STATES.map((state) => [state, t(`alerts.state.${state}`)])]} />
      ${day("from")}${day("until")}
      ${filtered && html`<${Button} tone="quiet" icon="close" onClick=${() => refine(Object.fromEntries(FILTERS.map((name) => [name, ""])))}>
        ${t("alerts.clear")}</${Button}>`}
    </div>`;
}

const columns = (query, path, own) => [
  { name: "what", title: t("alerts.what"), head: true, cell: (each) => html`
    <span class="row tight kind"><${Icon} name=${iconOf(each)} /><a href=${to(path, { ...Object.fromEntries(query), warning: each.id })}>${toldText(each)}</a></span>
    <div class="muted small">${figuresText(each)}</div>` },
  { name: "about", title: t("alerts.about"), cell: (each) => html`<${About} each=${each} own=${own} />` },
  { name: "sent", title: t("alerts.sent_to"), cell: ({ deliveries }) => html`<${Summary} deliveries=${deliveries} />` },
  { name: "time", title: t("alerts.time"), cell: ({ time }) => html`<${When} at=${time} />` },
];

/** How many messages are in which state, the worst first. */
function Summary({ deliveries }) {
  if (deliveries.length === 0) return html`<span class="muted">${t("alerts.nowhere")}</span>`;
  const counts = STATES.map((state) => [state, deliveries.filter((each) => each.state === state).length]).filter(([, n]) => n > 0);
  return html`<span class="row tight">${counts.reverse().map(([state, n]) => html`
    <${Tag} key=${state} tone=${STATE_TONES[state]}>${t(`alerts.count.${state}`, { count: n, n })}</${Tag}>`)}</span>`;
}

/** One warning with its messages. `known` are those that are here already; one of an address that was sent is fetched. */
function One({ id, known, whose, own }) {
  const here = known?.find((each) => each.id === id);
  const fetched = async (signal) => (await api.get("/api/warning", { ...whose, cursor: id + 1, limit: 1 }, { signal })).items.find((each) => each.id === id);
  const answer = useAnswer(async (signal) => here ?? (await fetched(signal)) ?? null, [id]);
  return html`<${Drawer} title=${t("alerts.drawer")} onClose=${() => refine({ warning: "" })}>
    <${Answered} answer=${here ? { data: here } : answer}>${(found) => (found ? html`<${Facts} each=${found} own=${own} />`
      : html`<${Empty} icon="alert" title=${t("alerts.no_such")} />`)}</${Answered}>
  </${Drawer}>`;
}

const Facts = ({ each, own }) => html`
  <dl class="facts">
    <dt>${t("alerts.what")}</dt><dd>${toldText(each)}</dd>
    ${figuresText(each) && html`<dt>${t(each.kind === "expiry" ? "alerts.expires" : "alerts.figures")}</dt><dd>${figuresText(each)}</dd>`}
    <dt>${t("alerts.about")}</dt><dd><${About} each=${each} own=${own} /></dd>
    <dt>${t("alerts.time")}</dt><dd>${dateTime(each.time)}</dd>
  </dl>
  <h3>${t("alerts.deliveries")}</h3>
  ${each.deliveries.length === 0 ? html`<p class="muted">${t("alerts.nowhere")}</p>`
    : html`<ul class="lines">${each.deliveries.map((sent, n) => html`<${Sent} key=${n} sent=${sent} own=${own} />`)}</ul>`}`;

const Sent = ({ sent, own }) => html`
  <li class="row begin"><${Icon} name=${sent.channel === "mail" ? "mail" : "link"} />
    <div class="grow"><div class="row spread"><strong class="break">${sent.target}</strong><${Tag} tone=${STATE_TONES[sent.state]}>${t(`alerts.state.${sent.state}`)}</${Tag}></div>
      <div class="muted small">${t(`alerts.channel.${sent.channel}`)} ·${!own && html` ${sent.username ?? t("alerts.to_operator")} ·`}
        ${" "}${t("alerts.attempts", { count: sent.attempts })} · ${sent.state === "waiting" && t("alerts.again")} <${When} at=${sent.time} /></div>
      ${sent.error && html`<div class=${classes("small break", sent.state === "failed" && "wrong")}>${sent.error}</div>`}</div></li>`;
