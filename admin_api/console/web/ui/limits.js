// Limits: how many requests, tokens or dollars in which time. Written as one says it: 100 requests in a minute.

import { number, usd, zone } from "../core/format.js";
import { loadArea, mistakeText, t } from "../core/messages.js";
import { numberOf } from "../core/numbers.js";
import { once } from "../core/once.js";
import { classes, html } from "../core/view.js";
import { Button } from "./basics.js";
import { Check, Field, Text } from "./form.js";
import { Names } from "./names.js";

// Several pages have limits, so their words are an area of their own.
await loadArea("limits");

const METRICS = ["requests", "tokens", "usd"];
// A window and its mode are one choice: a month is of the calendar, five hours never are.
const WINDOWS = ["1m.sliding", "5h.sliding", "1d.sliding", "7d.sliding", "30d.sliding", "1d.calendar", "month.calendar"];
const FRESH = { metric: "requests", window: "1m", mode: "sliding", limit: "", burst: null, models: null, time_zone: "UTC", shadow: false };
const MOST = 20;

const windowOf = (limit) => `${limit.window}.${limit.mode ?? "sliding"}`;

/** One limit in words. */
export function limitText(limit) {
  const amount = limit.metric === "usd" ? usd(Number(limit.limit)) : t(`limits.of.${limit.metric}`, {
    count: Number(limit.limit), amount: number(Number(limit.limit)),
  });
  return t("limits.sentence", { amount, window: t(`limits.window.${windowOf(limit)}`) });
}

/** Limits as they are sent: what was typed as numbers, without what is only shown. */
export const sentLimits = (value) => value.map(({ key, bound, ...limit }) => ({
  ...limit, limit: numberOf(limit.limit), burst: numberOf(limit.burst),
}));

/**
 * A list of limits, as the API has them (`sentLimits` makes of `value` what is sent).
 *
 * `mistakes` are the errors of a failure, `field` where the list stands in the body, `models` what can be named.
 */
export function Limits({ label = t("limits.title"), hint, field = "limits", value, onChange, mistakes = [], models = [], disabled }) {
  const change = (n, changes) => onChange(value.map((each, m) => (m === n ? { ...each, ...changes } : each)));
  const whole = mistakes.filter((each) => each.field === field);
  return html`
    <fieldset class="limits stack tight" disabled=${disabled}>
      <legend>${label}</legend>
      ${hint && html`<div class="muted small">${hint}</div>`}
      ${value.length === 0 && html`<div class="muted">${t("limits.none")}</div>`}
      ${value.map((limit, n) => html`
        <${Limit} key=${limit.key ?? n} limit=${limit} place=${n + 1} disabled=${disabled} models=${models}
          change=${(changes) => change(n, changes)}
          remove=${() => onChange(value.filter((_, m) => m !== n))}
          mistakes=${mistakes.filter((each) => each.field === `${field}.${n}` || each.field?.startsWith(`${field}.${n}.`))} />`)}
      ${whole.map((each) => html`<div class="wrong" role="alert">${mistakeText(each)}</div>`)}
      ${!disabled && value.length < MOST && html`
        <div><${Button} size="small" icon="plus"
          onClick=${() => onChange([...value, { ...FRESH, key: once() }])}>${t("limits.add")}</${Button}></div>`}
    </fieldset>`;
}

function Limit({ limit, place, change, remove, mistakes, models, disabled }) {
  const of = (name) => mistakes.find((each) => each.field.endsWith(`.${name}`) || each.field.includes(`.${name}.`));
  const named = [of("limit"), of("burst"), of("time_zone"), of("models")];
  const others = mistakes.filter((each) => !named.includes(each) || each === of("limit"));
  const choose = (chosen) => {
    const [window, mode] = chosen.split(".");
    const time_zone = mode === "calendar" ? (limit.mode === "calendar" ? limit.time_zone : zone()) : "UTC";
    change({ window, mode, time_zone, burst: chosen === "1m.sliding" ? limit.burst : null });
  };
  return html`
    <div class="limit" role="group" aria-label=${t("limits.place", { place })}>
      <div class="limit-line">
        <input inputmode="decimal" aria-label=${t("limits.amount")} value=${limit.limit} placeholder=${t("limits.amount")}
          aria-invalid=${of("limit") ? "true" : undefined} onInput=${(event) => change({ limit: event.target.value })} />
        <select aria-label=${t("limits.metric")} value=${limit.metric} onChange=${(event) => change({ metric: event.target.value })}>
          ${METRICS.map((each) => html`<option value=${each} selected=${each === limit.metric}>${t(`limits.metric.${each}`)}</option>`)}
        </select>
        <select aria-label=${t("limits.window")} value=${windowOf(limit)} onChange=${(event) => choose(event.target.value)}>
          ${WINDOWS.map((each) => html`<option value=${each} selected=${each === windowOf(limit)}>${t(`limits.in.${each}`)}</option>`)}
        </select>
        ${!disabled && html`<${Button} tone="quiet" icon="trash" label=${t("limits.remove", { place })} onClick=${remove} />`}
      </div>
      ${others.map((each) => html`<div class="wrong" role="alert">${mistakeText(each)}</div>`)}
      <${More} limit=${limit} change=${change} of=${of} models=${models} disabled=${disabled} />
    </div>`;
}

/** What most limits leave as it is, with a line that says how it is. */
function More({ limit, change, of, models, disabled }) {
  const minute = windowOf(limit) === "1m.sliding";
  const calendar = limit.mode === "calendar";
  const told = [
    limit.models?.length ? t("limits.some_models", { count: limit.models.length }) : t("limits.all_models"),
    minute && limit.burst !== null && limit.burst !== "" && t("limits.with_burst"),
    calendar && limit.time_zone,
    limit.shadow && t("limits.tried"),
  ].filter(Boolean);
  return html`
    <details open=${Boolean(of("burst") || of("time_zone") || of("models"))}>
      <summary class=${classes("small", limit.shadow ? "wrong" : "muted")}>${told.join(" · ")}</summary>
      <div class="stack">
        <${Names} label=${t("limits.models")} hint=${t("limits.models_hint")} value=${limit.models ?? []} options=${models}
          disabled=${disabled}
          mistake=${of("models")} placeholder=${t("limits.all_models")}
          onChange=${(names) => change({ models: names.length ? names : null })} />
        ${minute && html`<${Text} label=${t("limits.burst")} hint=${t("limits.burst_hint")} inputmode="decimal" value=${limit.burst ?? ""}
          mistake=${of("burst")} onInput=${(text) => change({ burst: text === "" ? null : text })} />`}
        ${calendar && html`<${Zone} value=${limit.time_zone} mistake=${of("time_zone")}
          onInput=${(text) => change({ time_zone: text })} />`}
        <${Check} label=${t("limits.shadow")} hint=${t("limits.shadow_hint")} checked=${limit.shadow} disabled=${disabled}
          onChange=${(shadow) => change({ shadow })} />
      </div>
    </details>`;
}

const ZONES = () => ["UTC", ...Intl.supportedValuesOf("timeZone").filter((each) => each !== "UTC")];

const Zone = ({ value, mistake, onInput }) => html`
  <${Field} label=${t("limits.time_zone")} hint=${t("limits.time_zone_hint")} mistake=${mistake}>
    ${(attributes) => html`
      <input ...${attributes} list=${`${attributes.id}-zones`} value=${value} autocomplete="off"
        onInput=${(event) => onInput(event.target.value)} />
      <datalist id=${`${attributes.id}-zones`}>${ZONES().map((each) => html`<option value=${each} />`)}</datalist>`}
  </${Field}>`;
