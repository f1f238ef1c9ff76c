// Figures, money and times as people read them: in their language and zone, with the exact value where it is rounded.

import { currentLanguage, t } from "./messages.js";

const formats = new Map();

/** The browser's own way of writing the language: a British reader's dates are British ones. */
function locale() {
  const language = currentLanguage();
  return navigator.languages.find((each) => each.slice(0, 2).toLowerCase() === language) ?? language;
}

function format(Kind, options) {
  const name = `${currentLanguage()}${Kind.name}${JSON.stringify(options)}`;
  if (!formats.has(name)) formats.set(name, new Kind(locale(), options));
  return formats.get(name);
}

export const number = (value, options = {}) => format(Intl.NumberFormat, options).format(value);

/** 12.3K, 4.5M. */
export const short = (value) =>
  Math.abs(value) < 10_000 ? number(value) : number(value, { notation: "compact", maximumFractionDigits: 1 });

export const percent = (part) => number(part, { style: "percent", maximumFractionDigits: part < 0.1 ? 1 : 0 });

let perUsd = 500_000;
let currency = { code: "USD", rate: 1 };

/** Quota units in a dollar, and the currency in which money is shown: {code, rate: how much of it a dollar is}. */
export function setMoney(units, shown = currency) {
  perUsd = units;
  currency = shown;
}

export const unitsOf = (usd) => Math.round(usd * perUsd);
export const usdOf = (units) => units / perUsd;
export const unitsPerUsd = () => perUsd;

/** US dollars, in the installation's currency: two places, more where it would else be nothing. */
export function usd(value) {
  const shown = value * currency.rate;
  const size = Math.abs(shown);
  const places = size === 0 || size >= 1 ? 2 : size >= 0.01 ? 4 : 6;
  return format(Intl.NumberFormat, {
    style: "currency", currency: currency.code, currencyDisplay: "narrowSymbol", minimumFractionDigits: 2, maximumFractionDigits: places,
  }).format(shown);
}

/** What something costs in US dollars, in the installation's currency: as exact as it is. */
export const price = (value) => format(Intl.NumberFormat, {
  style: "currency", currency: currency.code, currencyDisplay: "narrowSymbol", minimumFractionDigits: 2, maximumFractionDigits: 9,
}).format(Number((value * currency.rate).toPrecision(12)));

export const money = (units) => usd(usdOf(units));
export const nusd = (value) => usd(value / 1e9);

const dateOf = (seconds) => new Date(seconds * 1000);

export const dateTime = (seconds) =>
  format(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "medium" }).format(dateOf(seconds));
export const date = (seconds) => format(Intl.DateTimeFormat, { dateStyle: "medium" }).format(dateOf(seconds));
export const clock = (seconds) => format(Intl.DateTimeFormat, { timeStyle: "medium" }).format(dateOf(seconds));

export const minute = (seconds) =>
  format(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "short" }).format(dateOf(seconds));
/** 26 Nov; 14:00; both: for the axes of charts. */
export const dayShort = (seconds) => format(Intl.DateTimeFormat, { day: "numeric", month: "short" }).format(dateOf(seconds));
export const hourShort = (seconds) => format(Intl.DateTimeFormat, { timeStyle: "short" }).format(dateOf(seconds));

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

const STEPS = [
  ["year", 31_536_000], ["month", 2_592_000], ["week", 604_800], ["day", 86_400], ["hour", 3_600], ["minute", 60],
];

/** In 3 days, 2 hours ago. */
export function relative(seconds, now = Date.now() / 1000) {
  const apart = seconds - now;
  const step = STEPS.find(([, size]) => Math.abs(apart) >= size);
  if (!step) return t("time.now");
  return format(Intl.RelativeTimeFormat, { numeric: "auto" }).format(Math.round(apart / step[1]), step[0]);
}

/** 340 ms, 1.2 s. */
export const duration = (milliseconds) =>
  milliseconds < 1000 ? `${number(Math.round(milliseconds))} ms` : `${number(milliseconds / 1000, { maximumFractionDigits: 1 })} s`;

const SIZES = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** 12 MB, by steps of 1000. */
export function bytes(value) {
  const step = Math.min(SIZES.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return number(value / 1000 ** step, { style: "unit", unit: SIZES[step], maximumFractionDigits: 1 });
}
