// What can be done with keys: the menu of a row, several at once, and the questions before what cannot be undone.

import { api } from "../../core/api.js";
import { number, relative } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Button, Menu, Notice } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { endOverlap } from "./secrets.js";

const ENABLED = 1;
const DISABLED = 2;
const A_DAY = 86_400;

/** Sets the status of tokens, and offers to take that back for those that it changed. `changed` reads the list again. */
export async function setStatus(tokens, status, changed) {
  const affected = tokens.filter((token) => (token.status === DISABLED) !== (status === DISABLED));
  if (affected.length === 0) return tell(t(`tokens.nothing_to_set.${status}`));
  const set = (wanted) => api.post("/api/token/batch/status", { ids: affected.map(({ id }) => id), status: wanted }).then(changed, tell);
  await set(status);
  const values = { count: affected.length, amount: number(affected.length), name: affected[0].name };
  return tell(t(`tokens.set.${status}`, values), { text: t("undo"), act: () => set(status === ENABLED ? DISABLED : ENABLED) });
}

export function RowMenu({ token, acts }) {
  const { may } = useSession();
  const write = may("token.write");
  const disabled = token.status === DISABLED;
  const overlaps = token.overlap_until > Date.now() / 1000;
  const turn = () => setStatus([token], disabled ? ENABLED : DISABLED, acts.changed);
  return html`<${Menu} label=${t("tokens.actions_of", { name: token.name })} items=${[
    write && { icon: "edit", text: t("edit"), act: () => refine({ edit: token.id }) },
    { icon: "why", text: t("tokens.why"), href: to(`/keys/${token.id}/why`) },
    { icon: "play", text: t("tokens.test_it"), href: to("/playground", { token_id: token.id }) },
    { icon: "usage", text: t("page.usage"), href: to("/usage", { token_id: token.id }) },
    { icon: "log", text: t("page.log"), href: to("/log", { token_id: token.id }) },
    write && { icon: "rotate", text: t("tokens.rotate"), act: () => acts.open("rotate", token) },
    write && overlaps && { icon: "stop", text: t("tokens.end_overlap"), act: () => endOverlap(token, acts.changed) },
    token.recoverable && may("token.reveal") && { icon: "eye", text: t("tokens.reveal"), act: () => acts.open("reveal", token) },
    write && { icon: disabled ? "play" : "pause", text: t(disabled ? "tokens.enable" : "tokens.disable"), act: turn },
    write && { icon: "trash", text: t("delete"), danger: true, act: () => acts.open("delete", token) },
  ]} />`;
}

/** What can be done with those that are chosen. */
export function Bulk({ tokens, acts, clear }) {
  const { may } = useSession();
  if (tokens.length === 0 || !may("token.write")) return null;
  const set = async (status) => {
    await setStatus(tokens, status, acts.changed);
    clear();
  };
  return html`
    <div class="bulk row" role="region" aria-label=${t("tokens.chosen_region")}>
      <strong role="status">${t("tokens.chosen", { count: tokens.length, amount: number(tokens.length) })}</strong>
      <${Button} size="small" icon="play" onClick=${() => set(ENABLED)}>${t("tokens.enable")}</${Button}>
      <${Button} size="small" icon="pause" onClick=${() => set(DISABLED)}>${t("tokens.disable")}</${Button}>
      <${Button} size="small" tone="danger" icon="trash" onClick=${() => acts.open("delete_several", tokens)}>${t("delete")}</${Button}>
      <${Button} size="small" tone="quiet" icon="close" onClick=${clear}>${t("tokens.choose_none")}</${Button}>
    </div>`;
}

const usedOf = (token) => token.accessed_time > Date.now() / 1000 - A_DAY;

/** Asks before a key is deleted, and has its name typed where an application may still be using it. */
export function Deletion({ token, onClose, onDone }) {
  const used = usedOf(token);
  const act = async () => {
    await api.delete(`/api/token/${token.id}`);
    tell(t("tokens.deleted", { count: 1, name: token.name }));
    onDone();
  };
  return html`
    <${Question} title=${t("tokens.delete_title", { name: token.name })} action=${t("delete")} typed=${used ? token.name : undefined}
      act=${act} onClose=${onClose}>
      ${used && html`<${Notice} tone="warn">${t("tokens.delete_used", { when: relative(token.accessed_time) })}</${Notice}>`}
      <p>${t("tokens.delete_text")}</p>
    </${Question}>`;
}

/** The same of several; how many they are is typed where some may still be used. */
export function DeletionOfSeveral({ tokens, onClose, onDone }) {
  const used = tokens.filter(usedOf);
  const count = { count: tokens.length, amount: number(tokens.length), name: tokens[0].name };
  const named = { count: used.length, amount: number(used.length), names: used.slice(0, 5).map(({ name }) => name).join(", ") };
  const act = async () => {
    await api.post("/api/token/batch", { ids: tokens.map(({ id }) => id) });
    tell(t("tokens.deleted", count));
    onDone();
  };
  return html`
    <${Question} title=${t("tokens.delete_several", count)} action=${t("delete")} typed=${used.length ? count.amount : undefined}
      act=${act} onClose=${onClose}>
      ${used.length > 0 && html`<${Notice} tone="warn">${t("tokens.delete_several_used", named)}</${Notice}>`}
      <p>${t("tokens.delete_text")}</p>
    </${Question}>`;
}
