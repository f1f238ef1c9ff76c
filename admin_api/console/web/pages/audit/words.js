// What the audit's rows are called for people.

import { has, t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";

export const ACTIONS = [
  "token.create", "token.update", "token.rotate", "token.end_overlap", "token.reveal", "token.playground", "token.delete",
  "user.create", "user.register", "user.update", "user.password", "user.verify_email", "user.link_identity", "user.login",
  "user.login_failed", "user.logout", "user.end_sessions", "user.delete",
  "access_token.create", "access_token.delete",
  "account.create", "account.update", "account.grant",
  "member.add", "member.update", "member.remove",
  "subscription.create", "subscription.update", "subscription.end",
  "redeem.create", "redeem.revoke", "invite.create", "invite.revoke", "webhook.create", "webhook.delete",
  "group.create", "group.update", "group.delete", "upstream.create", "upstream.update", "upstream.delete",
  "model.create", "model.update", "model.delete",
];
/** What acts without being a user. */
export const ACTORS = ["cli", "system", "nobody"];
export const KINDS = [...new Set(ACTIONS.map((each) => each.split(".")[0]))];

/** A kind of things; what has no word here stands for itself. */
export const kindText = (kind) => (has(`audit.kind.${kind}`) ? t(`audit.kind.${kind}`) : kind);

/** The thing itself; 0 is where there is none. */
export const nameOf = (row) => (row.object_id === "0" ? kindText(row.object_kind) : `${kindText(row.object_kind)} ${row.object_id}`);

/** What was done. */
export function actionText(action) {
  const verb = action.split(".")[1];
  return has(`audit.did.${verb}`) ? t(`audit.did.${verb}`) : action;
}

/** Who did it: a user, or what acted by itself. */
export function Actor({ row }) {
  const { may } = useSession();
  const user = /^user:(\d+)$/.exec(row.actor);
  if (!user) return has(`audit.actor.${row.actor}`) ? t(`audit.actor.${row.actor}`) : row.actor;
  const name = row.actor_name ?? row.actor;
  return may("user.read") ? html`<a href=${to("/admin/users", { user: user[1] })}>${name}</a>` : name;
}

const PLACES = {
  user: (id) => to("/admin/users", { user: id }),
  account: (id) => to(`/admin/accounts/${id}`),
  member: (id) => to(`/admin/accounts/${id.split(".")[0]}`),
  subscription: (id) => to(`/admin/accounts/${id.split(".")[0]}`, { tab: "subscriptions" }),
  redeem: (id) => to("/admin/redeem", { batch_id: id }),
};

/** Where the thing itself is, if it has a page. */
export function placeOf(row) {
  const gone = row.action.endsWith(".delete") || row.object_id === "0";
  return gone ? undefined : PLACES[row.object_kind]?.(row.object_id);
}
