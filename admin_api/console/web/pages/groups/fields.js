// A group as it is typed, and as it is sent.

import { numberOf, typed } from "../../core/numbers.js";
import { sentLimits } from "../../ui/limits.js";

/** `stands` says whether the group stands for others: then it has no models, upstreams and ratio of its own. */
export function draftOf(entry) {
  const defaults = entry?.token_defaults;
  return {
    name: entry?.name ?? "", description: entry?.description ?? "", users: entry?.users ?? "assigned",
    stands: Boolean(entry?.groups.length), groups: entry?.groups ?? [],
    models: entry?.models ?? ["*"], upstreams: entry?.upstreams ?? ["*"], ratio: typed(entry?.ratio ?? 1),
    limits: entry?.limits ?? [], max_concurrency: typed(entry?.max_concurrency), subscription_usd: typed(entry?.subscription.quota_usd),
    key_models: defaults?.models ?? [], key_allow: defaults?.allow_ips ?? [], key_deny: defaults?.deny_ips ?? [],
    key_limits: defaults?.limits ?? [], key_concurrency: typed(defaults?.max_concurrency),
    key_usd: typed(defaults?.quota_usd), key_days: typed(defaults?.expires_in_days),
  };
}

export function bodyOf(draft) {
  const own = (value) => (draft.stands ? null : value);
  return {
    name: draft.name.trim(), description: draft.description.trim(), users: draft.users,
    groups: draft.stands ? draft.groups : null,
    models: own(draft.models), upstreams: own(draft.upstreams), ratio: own(numberOf(draft.ratio)),
    limits: sentLimits(draft.limits), max_concurrency: numberOf(draft.max_concurrency),
    subscription: { quota_usd: numberOf(draft.subscription_usd) },
    token_defaults: {
      models: draft.key_models.length ? draft.key_models : null,
      allow_ips: draft.key_allow, deny_ips: draft.key_deny,
      limits: sentLimits(draft.key_limits), max_concurrency: numberOf(draft.key_concurrency),
      quota_usd: numberOf(draft.key_usd), expires_in_days: numberOf(draft.key_days),
    },
  };
}
