// What is done to a user beside editing them: on and off, another password, deletion.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { html, useState } from "../../core/view.js";
import { Button, Notice, Problem } from "../../ui/basics.js";
import { Drawer, Question, tell } from "../../ui/dialogs.js";
import { ShownOnce } from "../people/parts.js";

/** Enables (1) or disables (2) a user, and offers to undo it. */
export async function setStatus(user, status, changed) {
  try {
    const { late } = await api.patch(`/api/user/${user.id}`, { status }, { whole: true });
    const undo = { text: t("undo"), act: () => setStatus(user, status === 1 ? 2 : 1, changed) };
    tell(late ? t("saved_late") : t(status === 1 ? "users.was_enabled" : "users.was_disabled", { name: user.username }), undo);
  } catch (failure) {
    tell(failure);
  }
  changed();
}

/** Asks, and then shows a one-time password. */
export function NewPassword({ user, onClose }) {
  const { busy, failure, run } = useSending();
  const [made, setMade] = useState(null);
  const send = () => run(async () => setMade(await api.post(`/api/user/${user.id}/password`)));
  const foot = made
    ? html`<${Button} tone="primary" onClick=${onClose}>${t("people.done")}</${Button}>`
    : html`<${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}>${t("users.make_password")}</${Button}>`;
  return html`<${Drawer} title=${t("users.new_password_of", { name: user.username })} onClose=${onClose} onSubmit=${made ? onClose : send}
    keep=${made !== null} foot=${foot}>
    ${made
      ? html`<${OneTimePassword} username=${made.username} password=${made.password} />`
      : html`<p>${t("users.new_password_text")}</p>`}
    <${Problem} failure=${failure} />
  </${Drawer}>`;
}

/** What is handed to somebody: where to sign in, with what. */
export const OneTimePassword = ({ username, password }) => html`
  <dl class="facts">
    <dt>${t("users.sign_in_at")}</dt><dd>${location.origin}</dd>
    <dt>${t("username")}</dt><dd>${username}</dd>
  </dl>
  <${ShownOnce} label=${t("one_time_password")} value=${password} text=${t("users.once_text")} />`;

export const DeleteUser = ({ user, onClose, onDeleted }) => html`
  <${Question} title=${t("users.delete_title", { name: user.username })} action=${t("delete")} typed=${user.username} onClose=${onClose}
    act=${async () => {
      await api.delete(`/api/user/${user.id}`, { version: user.version });
      tell(t("users.was_deleted", { name: user.username }));
      onDeleted();
    }}>
    <p>${t("users.delete_text")}</p>
    <${Notice}>${t("users.delete_kept")}</${Notice}>
  </${Question}>`;
