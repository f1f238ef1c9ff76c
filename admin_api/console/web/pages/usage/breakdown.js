// Who or what has used how much of the whole: a table of models, or of keys.

import { api, pathWith } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { number, percent, short, usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty } from "../../ui/basics.js";
import { Table } from "../../ui/table.js";
import { shareOf, tokensOf } from "../calls/figures.js";
import { distinct, nameOf, seriesOf } from "./question.js";

const FIRST_ROWS = 10;
const MOST_ROWS = 10_000;

export function Breakdown({ by, asked, query }) {
  const parameters = { ...seriesOf(asked, "all", by), top: MOST_ROWS };
  const answer = useAnswer((signal) => api.get("/api/usage", parameters, { signal }), [pathWith("", parameters)]);
  const [all, setAll] = useState(false);
  const title = t(`usage.of.${by}`);
  const whole = answer.data?.total;
  const series = distinct((answer.data?.series ?? []).map((each) => ({ ...each, name: nameOf(each) })));
  const hidden = series.length - FIRST_ROWS;
  const columns = [
    { name: "name", title: t(by === "model" ? "calls.model" : "calls.key"), head: true, cell: (each) => html`<${Name} each=${each} by=${by} query=${query} />` },
    { name: "requests", title: t("calls.requests"), number: true, cell: ({ total }) => number(total.requests) },
    { name: "tokens", title: t("calls.tokens"), number: true, cell: ({ total }) => html`<span title=${number(tokensOf(total))}>${short(tokensOf(total))}</span>` },
    { name: "cost", title: t("calls.cost"), number: true, cell: ({ total }) => usd(total.usd) },
    { name: "share", title: t("usage.share"), cell: ({ total }) => html`<${Share} part=${part(total, whole)} />` },
    { name: "errors", title: t("calls.errors"), number: true, cell: ({ total }) => html`
      <span class=${total.errors ? "" : "muted"} title=${number(total.errors)}>${percent(shareOf(total.errors, total.requests))}</span>` },
  ];
  return html`
    <section class="stack tight"><h2>${title}</h2>
      <${Table} label=${title} columns=${columns} answer=${answer} rowKey=${({ key }) => key ?? "rest"}
        items=${() => (all ? series : series.slice(0, FIRST_ROWS))}
        empty=${html`<${Empty} icon="usage" title=${t("usage.empty")} />`}
        foot=${hidden > 0 && html`<${Button} size="small" onClick=${() => setAll(!all)}>${all ? t("usage.fewer") : t("usage.all", { n: number(series.length) })}</${Button}>`} />
    </section>`;
}

/** Of the cost; where nothing cost anything, of the requests. */
const part = (total, whole) => (whole.amount_nusd ? shareOf(total.amount_nusd, whole.amount_nusd) : shareOf(total.requests, whole.requests));

/** A name that narrows the page to what it names. */
function Name({ each, by, query }) {
  const { name } = each;
  if (each.key === null) return html`<span class="muted">${name}</span>`;
  const link = to("/usage", { ...Object.fromEntries(query), [by]: each.key });
  return html`<a href=${link}>${by === "model" ? html`<code>${name}</code>` : name}</a>`;
}

const Share = ({ part: share }) => html`
  <div class="share"><div class="bar" aria-hidden="true"><i style=${{ width: `${share * 100}%` }}></i></div><span class="tabular">${percent(share)}</span></div>`;
