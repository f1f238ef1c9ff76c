// Figures over time: drawn, told when one points at them, and as a table for whoever likes that better.

import { t } from "../core/messages.js";
import { onPreference } from "../core/preferences.js";
import { classes, html, useEffect, useId, useMemo, useRef, useState } from "../core/view.js";
import { Button, Loading } from "./basics.js";
import { columns, loadPlot, options } from "./plot.js";

const TINTS = 6;
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** How many series have a colour of their own. */
export const MOST_SERIES = TINTS;

/**
 * A figure over time.
 *
 * `starts` are points in Unix seconds; `series` are {name, values, rest}, where a null value is a gap and `rest` marks
 * all others together; `kind` is `bars`, which stand on each other, or `lines`. `format(value)` says a value, `axis(start)` a
 * point in few letters, `exact(start)` in full; `marks(start)` says which are named below. `whole` figures have no fractions on their axis.
 */
export function Chart({ title, starts, series, kind = "bars", format, axis, exact, marks, whole, height = 260 }) {
  const [asTable, setAsTable] = useState(false);
  const id = useId();
  const signature = JSON.stringify([title, kind, starts, series]);
  const shown = useMemo(() => ({
    title, starts, kind, format, axis, exact, marks, whole,
    series: series.map((each, n) => ({ ...each, tint: each.rest ? "--chart-rest" : `--chart-${(n % TINTS) + 1}` })),
  }), [signature]);
  return html`
    <figure class="chart" aria-labelledby=${id}>
      <figcaption class="row spread"><h2 id=${id}>${title}</h2>
        <${Button} size="small" tone="quiet" icon=${asTable ? "usage" : "log"} aria-pressed=${asTable ? "true" : "false"}
          onClick=${() => setAsTable(!asTable)}>${t("chart.as_table")}</${Button}></figcaption>
      ${shown.series.length > 1 && html`<${Legend} series=${shown.series} />`}
      ${asTable ? html`<${Figures} of=${shown} />` : html`<${Drawn} of=${shown} height=${height} whenNot=${() => setAsTable(true)} />`}
    </figure>`;
}

const Swatch = ({ tint }) => html`<i class="swatch" style=${{ background: `var(${tint})` }}></i>`;

const Legend = ({ series }) => html`
  <ul class="legend row small">${series.map(({ name, tint }) => html`<li key=${name}><${Swatch} tint=${tint} />${name}</li>`)}</ul>`;

/** The drawing. Without the library (the server was updated meanwhile) there is still the table: `whenNot` is called. */
function Drawn({ of, height, whenNot }) {
  const box = useRef();
  const [Plot, setPlot] = useState(null);
  const [hovered, setHovered] = useState(null);
  const plot = useRef(null);
  useEffect(() => { loadPlot().then((made) => setPlot(() => made), whenNot); }, []);
  useEffect(() => {
    if (!Plot) return undefined;
    const place = box.current;
    const size = () => ({ width: place.clientWidth, height });
    const told = { ...size(), colour: colours(place), hovered: setHovered };
    plot.current = new Plot(options(Plot, of, told), columns(of), place);
    const watch = new ResizeObserver(() => plot.current?.setSize(size()));
    watch.observe(place);
    return () => {
      watch.disconnect();
      plot.current.destroy();
      plot.current = null;
      setHovered(null);
    };
  }, [Plot, of, height]);
  useEffect(() => onTheme(() => plot.current?.redraw()), []);
  return html`
    <div class="plot" style=${{ minHeight: `${height}px` }}>
      <div ref=${box} role="img" aria-label=${summary(of)}></div>
      ${!Plot && html`<${Loading} lines=${5} />`}
      ${hovered !== null && of.starts[hovered] !== undefined && html`<${Told} of=${of} n=${hovered} plot=${plot.current} />`}
    </div>`;
}

/** What there is at the point under the pointer, beside it. */
function Told({ of, n, plot }) {
  const right = n < of.starts.length / 2;
  const at = plot.over.offsetLeft + plot.valToPos(n, "x");
  const place = right ? { left: `${at + 14}px` } : { right: `${plot.width - at + 14}px` };
  const rows = of.series.filter(({ values }) => values[n]);
  const sum = rows.reduce((total, { values }) => total + values[n], 0);
  return html`
    <div class="told small" style=${place} aria-hidden="true">
      <div class="muted">${of.exact(of.starts[n])}</div>
      ${rows.length === 0 && html`<div>${of.kind === "bars" ? of.format(0) : t("chart.nothing")}</div>`}
      ${rows.map(({ name, tint, values }) => html`
        <div class="row spread"><span><${Swatch} tint=${tint} />${name}</span><span class="number">${of.format(values[n])}</span></div>`)}
      ${of.kind === "bars" && rows.length > 1 && html`
        <div class="row spread sum"><span>${t("chart.total")}</span><span class="number">${of.format(sum)}</span></div>`}
    </div>`;
}

/** The same figures, the newest first. */
function Figures({ of }) {
  const total = of.kind === "bars" && of.series.length > 1;
  const said = (value) => (value === null || value === undefined ? "–" : of.format(value));
  return html`
    <div class="table-wrap drawn" tabindex="0" role="region" aria-label=${of.title}><table>
      <caption class="only-read">${of.title}</caption>
      <thead><tr><th scope="col">${t("chart.time")}</th>
        ${of.series.map(({ name }) => html`<th scope="col" class="number" key=${name}>${name}</th>`)}
        ${total && html`<th scope="col" class="number">${t("chart.total")}</th>`}</tr></thead>
      <tbody>${of.starts.map((start, n) => html`
        <tr key=${start}><th scope="row" class="nowrap">${of.exact(start)}</th>
          ${of.series.map(({ name, values }) => html`<td class=${classes("number", !values[n] && "muted")} key=${name}>${said(values[n])}</td>`)}
          ${total && html`<td class="number">${said(of.series.reduce((sum, { values }) => sum + (values[n] ?? 0), 0))}</td>`}
        </tr>`).reverse()}
      </tbody>
    </table></div>`;
}

/** What somebody hears who does not see the drawing. */
function summary({ title, starts, series, format, exact, kind }) {
  if (!starts.length) return title;
  const heights = starts.map((_, n) => {
    const values = series.map(({ values: all }) => all[n] ?? 0);
    return kind === "bars" ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values);
  });
  const highest = heights.indexOf(Math.max(...heights));
  return t("chart.summary", {
    title, from: exact(starts[0]), until: exact(starts.at(-1)), value: format(heights[highest]), at: exact(starts[highest]),
  });
}

/** Reads CSS variables as colours that a canvas understands, as they are where `place` stands. */
function colours(place) {
  const probe = document.createElement("i");
  probe.hidden = true;
  place.append(probe);
  return (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
}

function onTheme(told) {
  DARK.addEventListener("change", told);
  const forget = onPreference(told);
  return () => {
    DARK.removeEventListener("change", told);
    forget();
  };
}
