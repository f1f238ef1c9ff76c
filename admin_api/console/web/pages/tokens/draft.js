// What is written in the form of a key, and what is sent of it (pure). The rules of fields are the server's.

import { unitsOf, usdOf } from "../../core/format.js";
import { linesOf } from "../../core/network.js";
import { numberOf, typed } from "../../core/numbers.js";
import { sentLimits } from "../../ui/limits.js";

/** What a key is made with unless one says otherwise. Null leaves a rule to the group. */
const FRESH = {
  name: "", count: "1",
  quota: "unlimited", unit: "usd", amount: "",
  expiry: "never", date: "", days: "30",
  group: "", models: null, allow: null, deny: null, limits: null, concurrency: null,
  reserve: "", metadata: "", account: "", owner: "",
};

const listOf = (token) => (token.model_limits_enabled ? JSON.parse(token.model_limits || "[]") : []);

/** The form of a token, or of a new one (`token` null) with what `given` says of it. */
export function draftOf(token, given = {}) {
  if (token === null) return { ...FRESH, ...given };
  const own = (field) => !token.inherited.includes(field);
  return {
    ...FRESH,
    name: token.name,
    quota: token.unlimited_quota ? "unlimited" : "total",
    amount: token.unlimited_quota ? "" : typed(token.quota_usd ?? 0),
    expiry: token.expired_time === -1 ? "never" : "date",
    date: token.expired_time === -1 ? "" : dayOf(token.expired_time),
    group: own("group") ? token.group : "",
    models: own("model_limits") ? listOf(token) : null,
    allow: own("allow_ips") ? token.allow_ips : null,
    deny: own("deny_ips") ? token.deny_ips : null,
    limits: own("limits") ? token.limits : null,
    concurrency: own("max_concurrency") ? String(token.max_concurrency) : null,
    reserve: token.reserve ?? "",
    metadata: Object.keys(token.metadata).length ? JSON.stringify(token.metadata, null, 2) : "",
  };
}

/** The day of a time in the reader's zone, as a date field has it. */
export function dayOf(seconds) {
  const at = new Date(seconds * 1000);
  const two = (value) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** The last second of a day in the reader's zone. */
export const endOf = (day) => new Date(`${day}T23:59:59`).getTime() / 1000;

/** The same amount in the other unit, as far as it is one. */
export function inOtherUnit(amount, unit) {
  const value = Number(amount);
  if (amount.trim() === "" || !Number.isFinite(value)) return amount;
  return typed(unit === "usd" ? unitsOf(value) : usdOf(value));
}

/** The body that makes the tokens. */
export function creationOf(draft) {
  const { group, reserve, ...rules } = rulesOf(draft);
  const given = Object.entries(rules).filter(([, value]) => value !== null);
  return {
    name: draft.name,
    ...(draft.count === "1" ? {} : { count: numberOf(draft.count) ?? "" }),
    ...quotaOf(draft, null),
    ...expiryOf(draft),
    ...Object.fromEntries(given),
    ...(group && { group }),
    ...(reserve && { reserve }),
    ...(draft.metadata.trim() && { metadata: JSON.parse(draft.metadata) }),
    ...(draft.account && { account_id: Number(draft.account) }),
    ...(draft.owner && { user_id: Number(draft.owner) }),
  };
}

/** What is to change of the token; nothing where the form says what the token does. */
export function changeOf(draft, token) {
  const before = draftOf(token);
  const changed = (...names) => names.some((name) => draft[name] !== before[name]);
  const [rules, old] = [rulesOf(draft), rulesOf(before)];
  const differing = Object.entries(rules).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(old[name]));
  return {
    ...(changed("name") && { name: draft.name }),
    ...(changed("quota", "amount") && quotaOf(draft, token)),
    ...(changed("expiry", "date") && expiryOf(draft)),
    ...(changed("metadata") && { metadata: draft.metadata.trim() ? JSON.parse(draft.metadata) : {} }),
    ...Object.fromEntries(differing),
  };
}

function rulesOf(draft) {
  return {
    group: draft.group,
    model_limits: draft.models,
    allow_ips: draft.allow === null ? null : linesOf(draft.allow),
    deny_ips: draft.deny === null ? null : linesOf(draft.deny),
    limits: draft.limits === null ? null : sentLimits(draft.limits),
    max_concurrency: draft.concurrency === null ? null : numberOf(draft.concurrency || "0"),
    reserve: draft.reserve || null,
  };
}

function quotaOf({ quota, unit, amount }, token) {
  if (quota === "unlimited") return { unlimited_quota: true };
  const value = numberOf(amount);
  if (quota === "add") return unit === "usd" ? { add_quota_usd: value } : { add_quota: value };
  if (unit === "usd") return { quota_usd: value, unlimited_quota: false };
  // A part of the grant, so that what is spent while somebody types is not given back.
  const used = token && typeof value === "number" ? token.used_quota : undefined;
  return { remain_quota: used === undefined ? value : value - used, used_quota: used, unlimited_quota: false };
}

/** What is missing or unreadable, by field, as keys of texts: what could not even be sent. */
export function gapsOf(draft) {
  return {
    ...(draft.quota !== "unlimited" && draft.amount.trim() === "" && { amount: "tokens.amount_missing" }),
    ...(draft.expiry === "date" && Number.isNaN(endOf(draft.date)) && { date: "tokens.date_missing" }),
    ...(!isObject(draft.metadata) && { metadata: "tokens.metadata_wrong" }),
  };
}

function isObject(text) {
  try {
    const value = JSON.parse(text.trim() || "{}");
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function expiryOf({ expiry, date, days }) {
  if (expiry === "never") return { expired_time: -1 };
  return expiry === "days" ? { expires_in_days: numberOf(days) ?? "" } : { expired_time: endOf(date) };
}
