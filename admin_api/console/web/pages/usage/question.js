// What the usage page asks for, out of its address; and what a chart shows of the answer.

import { dayShort, date, hourShort, minute, zone } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { periodOf } from "../../core/period.js";
import { MOST_SERIES } from "../../ui/chart.js";
import { callsOf } from "../calls/filters.js";
import { MEASURES } from "../calls/figures.js";
import { REFUSED } from "../calls/refused.js";

export const FALLBACK = "7d";
const DAY_S = 86_400;
const MOST_POINTS = 1000;

/** {filter, interval, mayBeHours, by, measure, reason}: `filter` are parameters that export and log take, too. */
export function questionOf(query, may) {
  const measures = [...Object.keys(MEASURES), REFUSED];
  const { start, end } = periodOf(query, FALLBACK);
  const hours = ((end ?? Date.now() / 1000) - (start ?? 0)) / 3600;
  const mayBeHours = hours < MOST_POINTS;
  const wanted = query.get("interval") || (hours <= 48 ? "hour" : "day");
  return {
    filter: { ...callsOf(query, may), start, end },
    interval: mayBeHours ? wanted : "day",
    mayBeHours,
    by: query.get("by") ?? "",
    measure: measures.includes(query.get("measure")) ? query.get("measure") : "cost",
    reason: query.get("reason") ?? "",
  };
}

/** Parameters of a series. */
export const seriesOf = ({ filter }, interval, by) => ({ ...filter, interval, by, time_zone: zone() });

/** Parameters of what is drawn: as many series as have a colour, of those with the largest figures. */
export function drawnOf(asked) {
  const { interval, measure } = asked;
  const by = measure === REFUSED ? "" : asked.by;
  return { ...seriesOf(asked, interval, by), ...(by && { top: MOST_SERIES, top_by: MEASURES[measure].lines ? "requests" : measure }) };
}

/** What a key of a series is called. */
export function nameOf({ key, name }) {
  if (key === null) return t("calls.others");
  return name ?? (key === "" ? t("calls.untold") : String(key));
}

/** {starts, series} of a chart. */
export function chartOf(usage, measure, by) {
  const starts = usage.series[0]?.points.map(({ start }) => start) ?? [];
  return { starts, series: by ? split(usage.series, measure) : whole(usage.series[0], measure) };
}

function whole(series, measure) {
  const values = (of) => (series?.points ?? []).map(of);
  if (measure === "tokens") {
    return [
      { name: t("calls.input"), values: values((point) => point.input_tokens - point.cached_input_tokens) },
      { name: t("calls.output"), values: values((point) => point.output_tokens) },
      { name: t("calls.cached"), values: values((point) => point.cached_input_tokens) },
    ];
  }
  if (measure === "latency") {
    return [
      { name: t("calls.duration"), values: values((point) => point.duration_ms) },
      { name: t("calls.first"), values: values((point) => point.ttfb_ms) },
    ];
  }
  return [{ name: t(`calls.${measure}`), values: values(MEASURES[measure].of) }];
}

/** Those with the largest figures, and all others together, unless they are means. */
function split(all, measure) {
  const { of, lines } = MEASURES[measure];
  const ranked = [...all].sort((a, b) => (a.key === null) - (b.key === null) || weight(b) - weight(a));
  function weight({ total }) { return lines ? total.requests : of(total); }
  const valuesOf = ({ points }) => points.map(of);
  const top = ranked.filter(({ key }) => key !== null).slice(0, MOST_SERIES);
  const others = ranked.filter((each) => !top.includes(each));
  const series = distinct(top.map((each) => ({ name: nameOf(each), key: each.key, values: valuesOf(each) })));
  if (lines || others.length === 0) return series;
  const rest = others.map(valuesOf).reduce((sums, values) => sums.map((sum, n) => sum + values[n]));
  return [...series, { name: t("calls.others"), values: rest, rest: true }];
}

/** Keys may have the same name: then their ids tell them apart. */
export function distinct(series) {
  const twice = (name) => series.filter((each) => each.name === name).length > 1;
  return series.map((each) => (twice(each.name) ? { ...each, name: `${each.name} #${each.key}` } : each));
}

/** How points are told: {axis, exact, marks}. Hours of many days are named by their days. */
export function pointNames(interval, starts) {
  if (interval === "day") return { axis: dayShort, exact: date };
  const short = starts.length && starts.at(-1) - starts[0] < DAY_S;
  return short ? { axis: hourShort, exact: minute } : { axis: dayShort, exact: minute, marks: isMidnight };
}

const isMidnight = (start) => new Date(start * 1000).getHours() === 0;
