// What a user signs in with: their password, the sessions that are open, their access tokens.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { date } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { html, useState } from "../../core/view.js";
import { Answered, Button, When } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";

export function Access({ user, ask }) {
  return html`
    <section class="stack tight">
      <h3>${t("password")}</h3>
      <div class="row"><${Button} icon="rotate"
        onClick=${() => ask({ what: "password", user })}>${t("users.new_password")}</${Button}></div>
    </section>
    <${Sessions} user=${user} />
    <${AccessTokens} user=${user} />`;
}

function Sessions({ user }) {
  const path = `/api/user/${user.id}/session`;
  const answer = useAnswer((signal) => api.get(path, {}, { signal }), [user.id]);
  const [asking, setAsking] = useState(false);
  const end = async () => {
    const count = await api.delete(path);
    tell(t("users.sessions_ended", { count }));
    answer.reload();
  };
  return html`<section class="stack tight">
    <div class="row spread"><h3>${t("users.sessions")}</h3>
      ${answer.data?.length > 0
        && html`<${Button} size="small" tone="danger" onClick=${() => setAsking(true)}>${t("users.end_sessions")}</${Button}>`}</div>
    <${Answered} answer=${answer} lines=${2}>
      ${(sessions) => (sessions.length === 0 ? html`<p class="muted">${t("users.no_sessions")}</p>` : html`
      <ul class="lines">${sessions.map((each) => html`<li key=${each.id}>
        <div class="break">${each.address ?? "–"} <span class="muted small">${each.user_agent}</span></div>
        <div class="muted small">${t("users.last_seen")} <${When} at=${each.seen_time} /></div>
      </li>`)}</ul>`)}
    </${Answered}>
    ${asking && html`<${Question} title=${t("users.end_sessions_title", { name: user.username })} action=${t("users.end_sessions")}
      act=${end} onClose=${() => setAsking(false)}>
      <p>${t("users.end_sessions_text")}</p></${Question}>`}
  </section>`;
}

function AccessTokens({ user }) {
  const path = `/api/user/${user.id}/access_token`;
  const answer = useAnswer((signal) => api.get(path, {}, { signal }), [user.id]);
  const [asking, setAsking] = useState(null);
  const end = async () => {
    await api.delete(`${path}/${asking.id}`);
    tell(t("users.token_ended", { name: asking.name }));
    answer.reload();
  };
  return html`<section class="stack tight">
    <h3>${t("users.access_tokens")}</h3>
    <${Answered} answer=${answer} lines=${2}>${(tokens) => (tokens.length === 0 ? html`<p class="muted">${t("users.no_tokens")}</p>` : html`
      <ul class="lines">${tokens.map((each) => html`<li key=${each.id} class="row spread">
        <div class="grow"><div class="break">${each.name}</div><div class="muted small">${lineOf(each)}</div></div>
        <${Button} size="small" tone="danger" label=${t("users.end_token", { name: each.name })}
          onClick=${() => setAsking(each)}>${t("users.end")}</${Button}>
      </li>`)}</ul>`)}
    </${Answered}>
    ${asking && html`<${Question} title=${t("users.end_token", { name: asking.name })} action=${t("users.end")} act=${end}
      onClose=${() => setAsking(null)}>
      <p>${t("users.end_token_text")}</p></${Question}>`}
  </section>`;
}

/** When it was used and when it ends, and what it is confined to. */
const lineOf = (token) => [
  token.last_used_time ? t("users.used_at", { date: date(token.last_used_time) }) : t("users.never_used"),
  token.expired_time < 0 ? t("users.never_ends") : t("users.ends_at", { date: date(token.expired_time) }),
  token.scopes.length ? token.scopes.join(", ") : t("users.all_scopes"),
].join(" · ");
