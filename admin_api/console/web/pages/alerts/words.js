// How warnings are told: of what they are, how far it has come, and where one finds it.

import { date, number, percent, usd } from "../../core/format.js";
import { loadArea, t } from "../../core/messages.js";
import { to } from "../../core/route.js";

await loadArea("alerts");

export const KINDS = ["quota", "limit", "expiry", "upstream"];
export const STATES = ["sent", "waiting", "failed"];
export const STATE_TONES = { sent: "good", waiting: "warn", failed: "bad" };
const ICONS = { quota: "wallet", limit: "usage", expiry: "key", upstream: "upstream" };

export const iconOf = ({ kind }) => ICONS[kind];
export const kindText = (kind) => t(`alerts.kind.${kind}`);

/** What was told, in few words. */
export function toldText({ kind, data }) {
  if (kind === "expiry") return t("alerts.told.expiry", { count: data.days });
  return t(`alerts.told.${kind}`, { percent: percent((data.percent ?? 0) / 100) });
}

/** The figures that were told. */
export function figuresText({ kind, data }) {
  if (kind === "quota") return t("alerts.used_of", { used: usd(data.used_usd), granted: usd(data.granted_usd) });
  if (kind === "expiry") return date(data.expires_at);
  if (kind === "upstream") return "";
  const amount = data.metric === "usd" ? usd : (value) => `${number(value)} ${data.metric}`;
  return t("alerts.within", { used: amount(data.used), limit: amount(data.limit), window: data.window });
}

/** Of what a warning is. */
export function aboutText(each) {
  const account = each.account_name ?? `#${each.account_id}`;
  if (each.scope === "token") return each.token_name ?? `#${each.token_id}`;
  if (each.scope === "member") return t("alerts.member_of", { name: each.username ?? `#${each.user_id}`, account });
  if (each.scope === "subscription") return t("alerts.group_of", { group: each.group ?? `#${each.group_id}`, account });
  return each.scope === "account" ? account : each.upstream;
}

export const scopeText = ({ scope }) => t(`alerts.scope.${scope ?? "upstream"}`);

/** Where one finds it: `own` for what is one's own. */
export function placeOf(each, own) {
  if (each.scope === "token") return to("/keys", { user_id: own ? "" : each.user_id, edit: each.token_id });
  if (each.scope) return own ? to("/wallet") : to(`/admin/accounts/${each.account_id}`);
  return to("/admin/upstreams", { edit: each.upstream });
}
