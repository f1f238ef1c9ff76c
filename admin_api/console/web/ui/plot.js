// How uPlot is told to draw: stacked bars or lines over the places 0, 1, 2 … of points in time.

const FONT_SIZE = 12;
const NAME_WIDTH = 78;
const WHOLE = [1, 2, 5].flatMap((n) => Array.from({ length: 12 }, (_, power) => n * 10 ** power)).sort((a, b) => a - b);

let library;

/** uPlot, fetched with its style sheet when the first chart is shown. */
export function loadPlot() {
  library ??= Promise.all([import("../vendor/uplot.js"), sheet(new URL("../vendor/uplot.css", import.meta.url))])
    .then(([module]) => module.default);
  return library;
}

function sheet(address) {
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "stylesheet", href: address, onload: resolve, onerror: reject });
    document.head.append(link);
  });
}

/** What each series reaches when they stand on each other, the highest first: the lower ones are drawn over it. */
export function stacked(series) {
  const sums = series[0]?.values.map(() => 0) ?? [];
  return series.map(({ values }) => values.map((value, n) => (sums[n] += value ?? 0))).reverse();
}

/** The columns that uPlot draws. */
export function columns({ starts, series, kind }) {
  const drawn = kind === "bars" ? stacked(series) : series.map(({ values }) => values);
  return [starts.map((_, n) => n), ...drawn];
}

/**
 * uPlot's options. `colour(name)` reads a CSS variable each time that something is drawn, so a redraw is enough when
 * the theme changes. `hovered(n)` hears over which point the pointer is, or null.
 */
export function options(Plot, { starts, series, kind, format, axis, marks, whole }, { width, height, colour, hovered }) {
  const font = `${FONT_SIZE}px ${getComputedStyle(document.body).fontFamily}`;
  const muted = () => colour("--muted");
  const drawn = kind === "bars" ? [...series].reverse() : series;
  return {
    width, height,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    select: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: kind === "lines", size: 7 } },
    scales: { x: { time: false, range: () => [-0.5, starts.length - 0.5] }, y: { range: (_, __, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      {
        stroke: muted, font, gap: 6, size: 26,
        splits: (plot) => thinned(starts.flatMap((start, n) => (marks && !marks(start) ? [] : [n])), plot.width),
        grid: { show: false }, ticks: { show: false }, border: { show: true, stroke: () => colour("--line"), width: 1 },
        values: (_, places) => places.map((n) => (starts[n] === undefined ? "" : axis(starts[n]))),
      },
      {
        stroke: muted, font, gap: 8, size: widest, space: 44, incrs: whole ? WHOLE : undefined,
        grid: { stroke: () => colour("--line"), width: 1 }, ticks: { show: false },
        values: (_, places) => places.map((value) => format(value)),
      },
    ],
    series: [{}, ...drawn.map((each) => look(Plot, each, kind, colour))],
    hooks: { setCursor: [(plot) => hovered(plot.cursor.idx)] },
  };
}

function look(Plot, { tint }, kind, colour) {
  const own = () => colour(tint);
  if (kind === "lines") return { stroke: own, width: 2, spanGaps: true, points: { size: 5, fill: own } };
  return { fill: own, width: 0, paths: Plot.paths.bars({ size: [0.74, 56] }), points: { show: false } };
}

/** As many of these places as have room for their names, evenly. */
function thinned(places, width) {
  const step = Math.max(1, Math.ceil((places.length * NAME_WIDTH) / width));
  return places.filter((_, n) => n % step === 0);
}

/** Room for the longest of an axis' texts. */
function widest(plot, values, number, cycle) {
  const axis = plot.axes[number];
  if (cycle > 1) return axis._size;
  plot.ctx.font = axis.font[0];
  const widths = (values ?? []).map((text) => plot.ctx.measureText(text).width / devicePixelRatio);
  return Math.ceil(Math.max(0, ...widths) + axis.gap + 2);
}
