// The log: every call that was forwarded, newest first, and new ones as they come.

import { duration, number, relative, short, usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { periodOf } from "../../core/period.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useLayoutEffect, useMemo, useRef } from "../../core/view.js";
import { Button, Empty, Menu, Page } from "../../ui/basics.js";
import { Filter } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { Period } from "../../ui/period.js";
import { More, Table } from "../../ui/table.js";
import { exports } from "../calls/export.js";
import { callsOf, ClearFilters, MoreFilters, OfKey, OfModel, WhoseCalls } from "../calls/filters.js";
import { MOST_LIVE, useCalls } from "./calls.js";
import { CallDrawer } from "./drawer.js";
import { RefusedLine } from "./refused.js";
import { Began, Status } from "./shown.js";

const PERIODS = ["all", "1h", "today", "7d", "custom"];
const STATUSES = ["2xx", "4xx", "429", "499", "5xx"];

export default function Log({ query }) {
  const { may } = useSession();
  const kept = new URLSearchParams([...query].filter(([name]) => !["call", "live"].includes(name)));
  const filter = useMemo(() => ({ ...callsOf(query, may), ...periodOf(query, "all") }), [kept.toString()]);
  const ended = filter.end !== undefined && filter.end * 1000 <= Date.now();
  const live = query.get("live") === "1" && !ended;
  const calls = useCalls(filter, live);
  return html`
    <${Page} title=${t("page.log")} text=${t("log.text")} actions=${html`<${Actions} kept=${kept} filter=${filter} live=${live} ended=${ended} />`}>
      <div class="filters">
        <${Period} query=${query} names=${PERIODS} fallback="all" />
        <${WhoseCalls} query=${query} /><${OfKey} query=${query} /><${OfModel} query=${query} />
        <${Filter} label=${t("log.status")} value=${query.get("status") ?? ""} onChange=${(status) => refine({ status })}
          options=${[["", t("log.every_status")], ...STATUSES.map((each) => [each, t(`log.status.${each}`)])]} />
        <${MoreFilters} query=${query} /><${ClearFilters} query=${query} />
      </div>
      <${RefusedLine} filter=${filter} live=${live} query=${query} />
      <${List} calls=${calls} live=${live} query=${query} />
      ${query.get("call") && html`<${CallDrawer} id=${query.get("call")} calls=${calls.items ?? []} />`}
    </${Page}>`;
}

const Actions = ({ kept, filter, live, ended }) => html`
  <button type="button" class="button live" role="switch" aria-checked=${live ? "true" : "false"} disabled=${ended}
    title=${t("log.live_text")} onClick=${() => refine({ live: live ? "" : "1" })}><i aria-hidden="true"></i>${t("log.live")}</button>
  <a class="button" href=${to("/usage", Object.fromEntries(kept))}><${Icon} name="usage" />${t("log.usage")}</a>
  <${Menu} label=${t("calls.export")} items=${exports(filter)}><${Icon} name="download" />${t("calls.export")}</${Menu}>`;

function List({ calls, live, query }) {
  const box = useRef();
  useSteady(box, calls.items);
  const everybody = Boolean(query.get("user_id"));
  const answer = { data: calls.items, failure: calls.failure, loading: calls.loading, reload: calls.reload };
  return html`
    <div class="calls" ref=${box}>
      <${Table} label=${t("page.log")} columns=${columns(query, everybody, calls.fresh)} answer=${answer} rowKey=${(call) => call.request_id}
        empty=${html`<${Empty} icon="log" title=${t("log.empty")} text=${t(live ? "log.empty_live" : "log.empty_text")} />`}
        foot=${calls.cut ? html`<span>${t("log.cut", { n: number(MOST_LIVE) })}</span><${Button} size="small" icon="refresh"
            onClick=${() => { refine({ live: "" }); calls.reload(); }}>${t("log.stop_and_reload")}</${Button}>`
          : calls.next && html`<${More} onMore=${calls.showMore} busy=${calls.more} />`} />
      <div class="only-read" role="status">${live && calls.fresh.size > 0 && t("log.came", { count: calls.fresh.size })}</div>
    </div>`;
}

function columns(query, everybody, fresh) {
  const opened = (call) => to("/log", { ...Object.fromEntries(query), call: call.request_id });
  return [
    { name: "time", title: t("log.time"), head: true, cell: (call) => html`
      <a class=${fresh.has(call.request_id) ? "opens fresh" : "opens"} href=${opened(call)}
        title=${relative(call.started_at)}><${Began} at=${call.started_at} /></a>` },
    { name: "status", title: t("log.status"), cell: (call) => html`<${Status} call=${call} />` },
    { name: "model", title: t("calls.model"), cell: (call) => html`<code class="break">${call.model}</code>` },
    { name: "key", title: t("calls.key"), cell: (call) => html`<span class="break">${call.token_name ?? `#${call.token_id}`}</span>` },
    everybody && { name: "user", title: t("log.user"), cell: (call) => call.username ?? `#${call.user_id}` },
    { name: "input", title: t("calls.input_all"), number: true, cell: (call) => html`<span title=${number(call.input_tokens)}>${short(call.input_tokens)}</span>` },
    { name: "output", title: t("calls.output"), number: true, cell: (call) => html`<span title=${number(call.output_tokens)}>${short(call.output_tokens)}</span>` },
    { name: "cost", title: t("calls.cost"), number: true, cell: (call) => usd(call.usd) },
    { name: "first", title: t("calls.first"), number: true, cell: (call) => (call.ttfb_ms === null ? "–" : duration(call.ttfb_ms)) },
    { name: "took", title: t("log.took"), number: true, cell: (call) => duration(call.duration_ms) },
  ].filter(Boolean);
}

/** Keeps what is read where it is, when rows come in above it. */
function useSteady(box, items) {
  // Where things stand before what is new is drawn.
  const before = box.current && seenIn(box.current);
  useLayoutEffect(() => {
    if (before?.row.isConnected) scrollBy(0, before.row.getBoundingClientRect().top - before.top);
  }, [items]);
}

/** The first row that is seen, if the head of the list is not: who sees the head wants to see what comes. */
function seenIn(box) {
  if (box.getBoundingClientRect().top >= 0) return null;
  const row = [...box.querySelectorAll("tbody tr")].find((each) => each.getBoundingClientRect().bottom > 0);
  return row ? { row, top: row.getBoundingClientRect().top } : null;
}
