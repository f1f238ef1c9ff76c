// What calls have used: over time, and by model and key.

import { api, pathWith } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useMemo } from "../../core/view.js";
import { Answered, Empty, Menu, Page, Segments } from "../../ui/basics.js";
import { Chart } from "../../ui/chart.js";
import { Filter } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { Period } from "../../ui/period.js";
import { exports } from "../calls/export.js";
import { ClearFilters, MoreFilters, OfKey, OfModel, WhoseCalls } from "../calls/filters.js";
import { MEASURES, tileOf } from "../calls/figures.js";
import { REFUSED } from "../calls/refused.js";
import { Breakdown } from "./breakdown.js";
import { chartOf, drawnOf, FALLBACK, pointNames, questionOf } from "./question.js";
import { Refused, RefusedTile } from "./refused.js";

const PERIODS = ["today", "7d", "30d", "custom"];

export default function Usage({ query }) {
  const { may } = useSession();
  const asked = useMemo(() => questionOf(query, may), [query.toString()]);
  const series = useUsage(drawnOf(asked));
  return html`
    <${Page} title=${t("page.usage")} text=${t("usage.text")} actions=${html`<${Actions} query=${query} filter=${asked.filter} />`}>
      <div class="filters">
        <${Period} query=${query} names=${PERIODS} fallback=${FALLBACK} also=${{ interval: "" }} />
        <${WhoseCalls} query=${query} /><${OfKey} query=${query} /><${OfModel} query=${query} />
        <${MoreFilters} query=${query} names=${["end_user", "tag", "group", "upstream"]} /><${ClearFilters} query=${query} />
      </div>
      <div class="stack">
        <${Answered} answer=${series} lines=${8}>${(usage) => html`
          <${Tiles} total=${usage.total} asked=${asked} />
          ${asked.measure === REFUSED
            ? html`<${Refused} asked=${asked} query=${query} />`
            : html`<${Calls} usage=${usage} asked=${asked} query=${query} busy=${series.loading} />`}`}
        </${Answered}>
      </div>
    </${Page}>`;
}

const useUsage = (parameters) =>
  useAnswer((signal) => api.get("/api/usage", parameters, { signal }), [pathWith("", parameters)]);

const Actions = ({ query, filter }) => html`
  <a class="button" href=${to("/log", Object.fromEntries(query))}><${Icon} name="log" />${t("usage.log")}</a>
  <${Menu} label=${t("calls.export")} items=${exports(filter)}><${Icon} name="download" />${t("calls.export")}</${Menu}>`;

/** The totals; the one that is pressed is drawn. */
const Tiles = ({ total, asked }) => html`
  <div class="tiles" role="group" aria-label=${t("usage.measure")}>
    ${Object.keys(MEASURES).map((name) => {
      const { value, note } = tileOf(name, total);
      return html`<button type="button" class="tile" key=${name} aria-pressed=${name === asked.measure ? "true" : "false"}
        onClick=${() => refine({ measure: name === "cost" ? "" : name })}>
        <span class="muted">${t(`calls.${name}`)}</span><strong class="tabular">${value}</strong><span class="small muted">${note}</span>
      </button>`;
    })}
    <${RefusedTile} asked=${asked} requests=${total.requests} />
  </div>`;

const Calls = ({ usage, asked, query, busy }) => html`
  <${Drawing} usage=${usage} asked=${asked} busy=${busy} />
  <div class="grid breakdowns">
    <${Breakdown} by="model" asked=${asked} query=${query} />
    <${Breakdown} by="token_id" asked=${asked} query=${query} />
  </div>`;

function Drawing({ usage, asked, busy }) {
  const { measure } = asked;
  const shown = MEASURES[measure];
  // What is drawn is what the answer is of, while another one is asked for.
  const drawn = useMemo(() => ({ ...chartOf(usage, measure, usage.by), ...pointNames(usage.interval, starts(usage)) }), [usage, measure]);
  return html`
    <section class=${busy ? "card busy" : "card"} aria-busy=${busy ? "true" : "false"}>
      <${Ways} asked=${asked} />
      ${usage.total.requests === 0
        ? html`<${Empty} icon="usage" title=${t("usage.empty")} text=${t("usage.empty_text")} />`
        : html`<${Chart} title=${t(`usage.chart.${measure}`)} starts=${drawn.starts} series=${drawn.series}
            kind=${shown.lines ? "lines" : "bars"} format=${shown.short} whole=${shown.whole} axis=${drawn.axis} exact=${drawn.exact} marks=${drawn.marks} />`}
    </section>`;
}

const starts = (usage) => usage.series[0]?.points.map(({ start }) => start) ?? [];

/** By what, and in which steps it is drawn. */
function Ways({ asked }) {
  const { may } = useSession();
  const splits = ["", "model", "token_id", "end_user", ...(may("token.read_any") ? ["user_id", "upstream"] : [])];
  return html`
    <div class="row spread split">
      <${Filter} label=${t("usage.by")} value=${asked.by} onChange=${(by) => refine({ by })}
        options=${splits.map((by) => [by, t(`usage.by.${by || "none"}`)])} />
      ${asked.mayBeHours && html`<${Segments} label=${t("usage.interval")} value=${asked.interval}
        options=${["hour", "day"].map((each) => [each, t(`usage.interval.${each}`)])} onChange=${(interval) => refine({ interval })} />`}
    </div>`;
}
