// The page's texts: messages/LANGUAGE/AREA.json. An area is fetched when its page is first opened.

import { preference } from "./preferences.js";

export const LANGUAGES = { en: "English", zh: "中文" };

const texts = new Map();
const fetched = new Set();
let language = "en";
let plural = new Intl.PluralRules("en");

export const currentLanguage = () => language;

/** The reader's choice, else the first of the browser's languages that there is, else what the installation says. */
export function languageOf(installation) {
  const wanted = [preference("language"), ...navigator.languages, installation];
  return wanted.map((each) => each?.slice(0, 2).toLowerCase()).find((each) => each in LANGUAGES) ?? "en";
}

/** Fetches what areas say in a language, and speaks it from then on. */
export async function speak(wanted, areas) {
  await Promise.all(areas.map((area) => fetchArea(wanted, area)));
  language = wanted;
  plural = new Intl.PluralRules(wanted);
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : wanted;
}

export const loadArea = (area) => fetchArea(language, area);

async function fetchArea(wanted, area) {
  const name = `${wanted}/${area}`;
  if (fetched.has(name)) return;
  const response = await fetch(new URL(`../messages/${name}.json`, import.meta.url));
  if (!response.ok) throw new Error(`there are no messages ${name}`);
  for (const [key, text] of Object.entries(await response.json())) texts.set(`${wanted}:${key}`, text);
  fetched.add(name);
}

/** Whether there is a text with this key. */
export const has = (key) => texts.has(`${language}:${key}`);

/**
 * The text of a key, with {names} filled in.
 *
 * A text of several forms ({"one": …, "other": …}) is chosen by `values.count`.
 */
export function t(key, values = {}) {
  let text = texts.get(`${language}:${key}`) ?? key;
  if (typeof text !== "string") text = text[plural.select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/**
 * Fetches the sentences for what the server says, before the first of them is shown. In English they are the server's own, and
 * so they are where these cannot be had.
 */
export const learnRefusals = () => (language === "en" ? undefined : loadArea("refusals").catch(() => {}));

/** What went wrong, in the reader's language where its rule has a sentence there. */
export function sentenceOf(failure) {
  if (failure.errors?.length) return failure.errors.map(namedMistake).join(" ");
  const key = `problem.${failure.code}`;
  return has(key) ? t(key, failure) : failure.message || t("problem.unknown");
}

/** One mistake of a field, where the field is seen beside it. */
export function mistakeText(mistake) {
  const { field, message } = mistake;
  const told = ruleText(mistake) ?? message;
  return field && told.startsWith(`${field}: `) ? told.slice(field.length + 2) : told;
}

function namedMistake(mistake) {
  const told = ruleText(mistake);
  if (told === undefined) return mistake.message;
  const ended = /[？。]$/.test(told) ? told : `${told}。`;
  return mistake.field ? `${mistake.field}：${ended}` : ended;
}

/** Why a call is refused or a check is not asked, as `explain` tells it: {case, params, message}. */
export const caseText = ({ case: name, params, message }) => filled(`refusal.${name}`, params) ?? message;

/** The rule's sentence; undefined where it has none in this language. */
const ruleText = ({ code, params }) => filled(`rule.${code}`, params);

/** A sentence of the server's, filled with its params, which may be words themselves; undefined where there is none. */
function filled(key, params = {}) {
  if (!has(key)) return undefined;
  const told = Object.entries(params).map(([name, value]) => {
    const word = `word.${name}.${value}`;
    return [name, has(word) ? t(word) : Array.isArray(value) ? value.join("、") : value];
  });
  return t(key, Object.fromEntries(told));
}
