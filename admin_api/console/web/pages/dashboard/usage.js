// Today beside yesterday, and what was spent in the last weeks.

import { date, dayShort, number, percent, short, usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html, useMemo } from "../../core/view.js";
import { Answered, Empty } from "../../ui/basics.js";
import { Chart } from "../../ui/chart.js";

const tokensOf = (sums) => sums.input_tokens + sums.output_tokens;
const errorsOf = (sums) => (sums.requests ? sums.errors / sums.requests : 0);

const FIGURES = [
  ["requests", (sums) => sums.requests, short],
  ["tokens", tokensOf, short],
  ["spend", (sums) => sums.usd, usd],
  ["errors", errorsOf, percent],
];

export const Today = ({ usage }) => html`
  <section class="card"><div class="card-head"><h2>${t("dashboard.today")}</h2>
      <a class="small" href=${to("/usage", { period: "today" })}>${t("page.usage")}</a></div>
    <${Answered} answer=${usage} lines=${2}>${(data) => html`<${Figures} points=${data.series[0].points} />`}</${Answered}>
  </section>`;

function Figures({ points }) {
  const [yesterday, today] = points.slice(-2);
  return html`<dl class="today">${FIGURES.map(([name, of, said]) => html`
    <div class="figure" key=${name}><dt>${t(`dashboard.${name}`)}</dt>
      <dd title=${name === "errors" ? number(today.errors) : undefined}>${said(of(today))}<small>${t("dashboard.yesterday", { value: said(of(yesterday)) })}</small></dd>
    </div>`)}</dl>`;
}

export const Spend = ({ usage, days }) => html`
  <section class="card">
    <${Answered} answer=${usage} lines=${6}>${(data) => html`<${Drawing} data=${data} days=${days} />`}</${Answered}>
  </section>`;

function Drawing({ data, days }) {
  const { points } = data.series[0];
  const title = t("dashboard.spend_of", { days });
  const series = useMemo(() => [{ name: t("dashboard.spend"), values: points.map((point) => point.usd) }], [data]);
  if (data.total.requests === 0) return html`<h2>${title}</h2><${Empty} icon="usage" title=${t("dashboard.no_calls")} text=${t("dashboard.no_calls_text")} />`;
  return html`<${Chart} title=${title} starts=${points.map(({ start }) => start)} series=${series} format=${usd} axis=${dayShort} exact=${date} height=${190} />
    <p class="small muted">${t("dashboard.spend_total", { total: usd(data.total.usd), n: number(data.total.requests) })}</p>`;
}
