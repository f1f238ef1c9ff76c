// Who stands above whom: the console offers what the server would allow (gateway/domain/roles.py decides).

import { t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Tag } from "../../ui/basics.js";
import "./words.js";

const RANKS = { owner: 3, admin: 2, operator: 1, viewer: 0, user: 0 };
export const ROLES = Object.keys(RANKS);
export const MEMBER_ROLES = ["owner", "admin", "member"];

const TONES = { owner: "accent", admin: "accent", operator: "good" };

/** Whether somebody of `role` may edit a user of the role `other`, or give it to one. */
export const mayManage = (role, other) => role === "owner" || RANKS[role] > RANKS[other];

/** The same within an account; null is who reaches every account. */
export const mayManageMember = (role, other) => role === null || role === "owner" || (role === "admin" && other === "member");

/** The roles that one may give, for a field of choices; `present` is among them, whatever it is. */
export const roleOptions = (own, present) =>
  ROLES.filter((role) => mayManage(own, role) || role === present).map((role) => [role, t(`people.role.${role}`)]);

/** What a role may do, in a sentence. */
export const roleHint = (role) => t(`people.role_hint.${role}`);

export const RoleTag = ({ role }) => html`<${Tag} tone=${TONES[role]}>${t(`people.role.${role}`)}</${Tag}>`;

export const MemberTag = ({ role }) => html`<${Tag} tone=${role === "member" ? "" : "accent"}>${t(`people.member.${role}`)}</${Tag}>`;
