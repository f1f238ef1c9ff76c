// Refused calls on the usage page: their tile, their chart, and of which reason and key they are.

import { number, percent, short, zone } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useMemo } from "../../core/view.js";
import { Answered, Button, Empty, Notice, Segments, Tag } from "../../ui/basics.js";
import { Chart, MOST_SERIES } from "../../ui/chart.js";
import { Filter } from "../../ui/form.js";
import { Table } from "../../ui/table.js";
import { shareOf } from "../calls/figures.js";
import { isNarrower, reasonText, REFUSED, refusalsOf, useRefusals } from "../calls/refused.js";
import { distinct, pointNames } from "./question.js";

const SPLITS = ["", "token_id", "user_id"];

/** Of a reason that is asked for, all that is counted; else what was refused, which those are not that were let pass. */
const countedBy = (asked) => (sums) => (asked.reason ? sums.refusals + sums.failures + sums.shadow : sums.refusals);
const parametersOf = (asked, interval, by) => ({ ...refusalsOf(asked.filter), interval, by, reason: asked.reason, time_zone: zone() });

/** How many were refused, beside the measures of calls that were not. */
export function RefusedTile({ asked, requests }) {
  const { data } = useRefusals({ ...parametersOf(asked, "all", ""), reason: "" });
  const { refusals, shadow } = data?.total ?? {};
  const all = requests + (refusals ?? 0);
  return html`
    <button type="button" class="tile" aria-pressed=${asked.measure === REFUSED ? "true" : "false"} onClick=${() => refine({ measure: REFUSED, by: "" })}>
      <span class="muted">${t("refused.tile")}</span><strong class="tabular">${data ? short(refusals) : "–"}</strong>
      <span class="small muted">${data && (shadow ? t("refused.tile_shadow", { n: number(shadow) }) : t("refused.tile_note", { count: all, all: number(all) }))}</span>
    </button>`;
}

/** Their chart, and below it reasons and keys. */
export function Refused({ asked, query }) {
  const by = SPLITS.includes(asked.by) ? asked.by : "";
  const answer = useRefusals(parametersOf(asked, asked.interval, by || "reason"));
  const something = asked.reason || Object.values(answer.data?.total ?? {}).some(Boolean);
  return html`
    <section class=${answer.loading ? "card busy" : "card"} aria-busy=${answer.loading ? "true" : "false"}>
      <${Ways} asked=${asked} by=${by} />
      <${Answered} answer=${answer} lines=${6}>${(data) => html`<${Drawing} data=${data} asked=${asked} />`}</${Answered}>
    </section>
    ${isNarrower(asked.filter) && html`<${Notice}>${t("refused.not_narrowed")}</${Notice}>`}
    ${something && html`<div class="grid breakdowns">
      <${Reasons} asked=${asked} query=${query} />
      <${Keys} asked=${asked} query=${query} />
    </div>`}`;
}

function Ways({ asked, by }) {
  const { may } = useSession();
  const splits = SPLITS.filter((each) => each !== "user_id" || may("token.read_any"));
  return html`
    <div class="row spread split">
      <span class="row"><${Filter} label=${t("usage.by")} value=${by} onChange=${(next) => refine({ by: next })}
          options=${splits.map((each) => [each, t(each ? `usage.by.${each}` : "refused.by.none")])} />
        ${asked.reason && html`<${Button} size="small" icon="close" label=${t("refused.every_reason")} onClick=${() => refine({ reason: "" })}>
          ${t("refused.one_reason", { reason: reasonText(asked.reason) })}</${Button}>`}</span>
      ${asked.mayBeHours && html`<${Segments} label=${t("usage.interval")} value=${asked.interval}
        options=${["hour", "day"].map((each) => [each, t(`usage.interval.${each}`)])} onChange=${(interval) => refine({ interval })} />`}
    </div>`;
}

function Drawing({ data, asked }) {
  const drawn = useMemo(() => {
    const starts = data.series[0]?.points.map(({ start }) => start) ?? [];
    return { starts, series: seriesOf(data, countedBy(asked)), ...pointNames(data.interval, starts) };
  }, [data, asked.reason]);
  if (drawn.series.length === 0) return html`<${Empty} icon="done" title=${t("refused.empty")} text=${t("refused.empty_text")} />`;
  return html`<${Chart} title=${t("refused.chart")} starts=${drawn.starts} series=${drawn.series} kind="bars" format=${short} whole
    axis=${drawn.axis} exact=${drawn.exact} marks=${drawn.marks} />`;
}

/** Series with a colour each, the rest together. */
function seriesOf({ series, by }, counted) {
  const found = series.filter(({ total }) => counted(total) > 0);
  const [own, all] = [found.filter(({ key }) => key !== null).slice(0, MOST_SERIES), found];
  const rest = all.filter((each) => !own.includes(each));
  const shown = distinct(own.map((each) => ({ key: each.key, name: nameOf(each, by), values: each.points.map(counted) })));
  if (rest.length === 0) return shown;
  const values = rest[0].points.map((_, n) => rest.reduce((sum, { points }) => sum + counted(points[n]), 0));
  return [...shown, { name: t("calls.others"), values, rest: true }];
}

function nameOf({ key, name }, by) {
  if (key === null) return t("calls.others");
  if (by === "reason") return reasonText(key);
  return name ?? (key === "0" ? t("refused.no_key") : `#${key}`);
}

/** Reasons, with those that refused nothing and say so. */
function Reasons({ asked, query }) {
  const answer = useRefusals({ ...parametersOf(asked, "all", "reason"), reason: "" });
  const all = ({ refusals, failures, shadow }) => refusals + failures + shadow;
  const link = (reason) => to("/usage", { ...Object.fromEntries(query), measure: REFUSED, reason, by: reason ? asked.by : "" });
  const columns = [
    { name: "reason", title: t("refused.reason"), head: true, cell: ({ key, total }) => (key === null ? t("calls.others") : html`
      <a href=${link(key)}>${reasonText(key)}</a> <code class="muted small">${key}</code>
      ${total.shadow > 0 && html` <${Tag}>${t("refused.not_refused")}</${Tag}>`}
      ${total.failures > 0 && html` <${Tag}>${t("refused.failed")}</${Tag}>`}`) },
    { name: "calls", title: t("refused.calls"), number: true, cell: ({ total }) => number(all(total)) },
    { name: "share", title: t("refused.share"), number: true, cell: ({ total }) =>
      (total.refusals ? percent(shareOf(total.refusals, answer.data.total.refusals)) : html`<span class="muted">–</span>`) },
  ];
  return html`<${Part} title=${t("refused.reasons")} columns=${columns} answer=${answer} items=${({ series }) => series} />`;
}

function Keys({ asked, query }) {
  const answer = useRefusals(parametersOf(asked, "all", "token_id"));
  const counted = countedBy(asked);
  const link = (key) => to("/usage", { ...Object.fromEntries(query), token_id: key });
  const columns = [
    { name: "key", title: t("calls.key"), head: true, cell: (each) => (each.key > 0 && each.name !== null
      ? html`<a href=${link(each.key)}>${nameOf(each, "token_id")}</a>` : html`<span class="muted">${nameOf(each, "token_id")}</span>`) },
    { name: "calls", title: t("refused.calls"), number: true, cell: ({ total }) => number(counted(total)) },
    { name: "share", title: t("refused.share"), number: true, cell: ({ total }) => percent(shareOf(counted(total), counted(answer.data.total))) },
    { name: "why", title: t("refused.why"), actions: true, cell: ({ key, name }) => key > 0 && name !== null && html`
      <a class="button small" href=${to(`/keys/${key}/why`)}>${t("refused.why")}</a>` },
  ];
  return html`<${Part} title=${t("refused.keys")} columns=${columns} answer=${answer}
    items=${({ series }) => series.filter(({ total }) => counted(total) > 0)} />`;
}

const Part = ({ title, columns, answer, items }) => html`
  <section class="stack tight"><h2>${title}</h2>
    <${Table} label=${title} columns=${columns} answer=${answer} items=${items} rowKey=${({ key }) => key ?? "rest"}
      empty=${html`<${Empty} icon="done" title=${t("refused.empty")} />`} />
  </section>`;
