// A card for each thing that the installation is made of.

import { bytes, duration, money, number, percent } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Notice, Tag, When } from "../../ui/basics.js";
import { Facts } from "../../ui/entries.js";
import { Part } from "./part.js";

// Beyond these something is slow, or fills up.
const SLOW_MS = 100;
const LATE_S = 30;
const FULL = 0.85;

const Card = ({ title, tone, word, children }) => html`
  <section class="card stack tight" aria-label=${title}>
    <div class="row spread"><h2>${title}</h2>${word && html`<${Tag} tone=${tone}>${word}</${Tag}>`}</div>
    ${children}
  </section>`;

const Lost = ({ title, text }) => html`
  <${Card} title=${title} tone="bad" word=${t("state.no_answer")}><p class="muted">${text}</p></${Card}>`;

export function PostgresCard({ state }) {
  if (!state) return html`<${Lost} title="Postgres" text=${t("state.postgres_lost")} />`;
  const full = state.connections / state.max_connections;
  return html`
    <${Card} title="Postgres" ...${answering(state.latency_ms)}>
      <${Facts} rows=${[
        [t("state.answers_in"), latency(state)],
        [t("state.version"), t("state.version_schema", { version: state.version, schema: state.schema_version })],
        [t("state.size"), html`<span class="tabular">${bytes(state.database_bytes)}</span>`],
      ]} />
      <${Part} label=${t("state.connections")} part=${full} warn=${full > FULL}
        text=${t("state.connections_of", {
          count: number(state.connections), own: number(state.own_connections), most: number(state.max_connections),
        })} />
    </${Card}>`;
}

export function ValkeyCard({ state, gateways }) {
  if (!state) return html`<${Lost} title="Valkey" text=${t("state.valkey_lost")} />`;
  const full = state.max_bytes ? state.used_bytes / state.max_bytes : null;
  return html`
    <${Card} title=${state.server === "redis" ? "Redis" : "Valkey"} ...${answering(state.latency_ms)}>
      <${Facts} rows=${[
        [t("state.answers_in"), latency(state)],
        [t("state.version"), t("state.version_up", { version: state.version, time: longTime(state.uptime_s) })],
        [t("state.connections"), html`<span class="tabular">${number(state.connections)}</span>`],
        [t("state.gateways"), gateways > 0 ? html`<span class="tabular">${number(gateways)}</span>`
          : html`<${Tag} tone="bad">${t("state.none")}</${Tag}>`],
        full === null && [t("state.memory"), html`<span class="tabular">${bytes(state.used_bytes)}</span>`],
      ]} />
      ${full === null ? html`<p class="muted small">${t("state.memory_unbounded")}</p>` : html`
        <${Part} label=${t("state.memory")} part=${full} warn=${full > FULL}
          text=${t("state.memory_of", { used: bytes(state.used_bytes), most: bytes(state.max_bytes), part: percent(full) })} />`}
    </${Card}>`;
}

const latency = ({ latency_ms: ms }) =>
  html`<span class="tabular">${ms < 10 ? `${number(ms, { maximumFractionDigits: 1 })} ms` : duration(ms)}</span>`;

const answering = (ms) => (ms > SLOW_MS
  ? { tone: "warn", word: t("state.slow") }
  : { tone: "good", word: t("state.answering") });

/** The sums of what runs now. */
export function CallsCard({ state }) {
  if (!state) return html`<${Lost} title=${t("state.calls")} text=${t("state.calls_lost")} />`;
  return html`
    <${Card} title=${t("state.calls")}>
      <${Facts} rows=${[
        [t("state.running"), html`<span class="tabular">${number(state.running)}</span>`],
        [t("state.held_all"), html`<span class="tabular">${money(state.held_quota)}</span>`],
        [t("state.oldest"), html`<span class="tabular">${state.oldest_age_s === null ? "–" : duration(state.oldest_age_s * 1000)}</span>`],
      ]} />
      <p class="muted small">${t("state.calls_text")}</p>
    </${Card}>`;
}

export function LedgerCard({ state }) {
  const late = state.lag_s !== null && state.lag_s > LATE_S;
  const waits = state.unposted === null ? "–" : number(state.unposted);
  return html`
    <${Card} title=${t("state.ledger")} tone=${late ? "warn" : "good"} word=${t(late ? "state.late" : "state.in_time")}>
      <${Facts} rows=${[
        [t("state.lag"), html`<span class="tabular">${state.lag_s === null ? t("state.no_lag") : duration(state.lag_s * 1000)}</span>`],
        [t("state.unposted"), html`<span class="tabular">${waits}</span>`],
        [t("state.last_call"), state.last_call_time ? html`<${When} at=${state.last_call_time} />` : t("never")],
      ]} />
      <p class="muted small">${t("state.ledger_text")}</p>
    </${Card}>`;
}

export function OutboxCard({ state }) {
  if (!state) return html`<${Lost} title=${t("state.outbox")} text=${t("state.outbox_lost")} />`;
  const bad = state.failed > 0;
  return html`
    <${Card} title=${t("state.outbox")} tone=${bad ? "warn" : "good"} word=${bad ? t("state.given_up") : t("state.fine")}>
      <${Facts} rows=${[
        [t("state.waiting"), html`<span class="tabular">${number(state.waiting)}</span>`],
        [t("state.retried"), html`<span class="tabular">${number(state.retried)}</span>`],
        [t("state.failed"), html`<span class="tabular">${number(state.failed)}</span>`],
      ]} />
      <p class="muted small">${t("state.outbox_text")}</p>
    </${Card}>`;
}

export function CatalogCard({ state, version }) {
  if (!state) return html`<${Lost} title=${t("state.catalog")} text=${t("state.postgres_lost")} />`;
  const broken = state.broken.length > 0;
  return html`
    <${Card} title=${t("state.catalog")} tone=${broken ? "bad" : "good"}
      word=${broken ? t("state.left_out", { count: state.broken.length }) : t("state.fine")}>
      <${Facts} rows=${[
        [t("state.models"), html`<a class="tabular" href=${to("/admin/models")}>${number(state.models)}</a>`],
        [t("state.groups"), html`<a class="tabular" href=${to("/admin/groups")}>${number(state.groups)}</a>`],
        [t("state.generation"), html`<span class="tabular">${number(state.generation)}</span>`],
        ["Tollhouse", version],
      ]} />
      ${state.broken.map((each) => html`<${Notice} tone="bad" key=${each}>${each}</${Notice}>`)}
    </${Card}>`;
}

const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

/** 3 days, 2 hours: the largest unit alone. */
function longTime(seconds) {
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? UNITS.at(-1);
  return number(Math.floor(seconds / size), { style: "unit", unit, unitDisplay: "long" });
}
