// The secrets of a key: which there are, a new one in place of the old, and how long the old one goes on.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { dateTime } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useState } from "../../core/view.js";
import { Button, Tag, When } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { Choice } from "./fields.js";

const now = () => Date.now() / 1000;

/** The time that is left until `until`, told each second; `onEnd` when there is none. */
export function Countdown({ until, onEnd }) {
  const [left, setLeft] = useState(() => until - now());
  useEffect(() => {
    const timer = setInterval(() => setLeft(until - now()), 1000);
    return () => clearInterval(timer);
  }, [until]);
  const over = left <= 0;
  useEffect(() => { if (over) onEnd?.(); }, [over]);
  return html`
    <time class="tabular nowrap" datetime=${new Date(until * 1000).toISOString()} title=${dateTime(until)}>
      ${clockOf(Math.max(0, left))}</time>`;
}

/** 59:04, 23:59:04, and above that days before it. */
function clockOf(seconds) {
  const two = (value) => String(value).padStart(2, "0");
  const [days, hours, minutes, rest] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60, seconds % 60].map(Math.floor);
  const clock = `${days || hours ? `${two(hours)}:` : ""}${two(minutes)}:${two(rest)}`;
  return days ? t("tokens.days_and", { count: days, clock }) : clock;
}

/** Ends what a rotation left in force, and says so. */
export async function endOverlap(token, changed) {
  try {
    await api.delete(`/api/token/${token.id}/rotate`);
    tell(t("tokens.overlap_ended", { name: token.name }));
    changed();
  } catch (failure) {
    tell(failure);
  }
}

/** That an older secret still opens the key, for how long, and a button that ends it. */
export function Overlap({ token, until = token.overlap_until, onChanged }) {
  const { may } = useSession();
  const { busy, run } = useSending();
  const end = () => run(() => endOverlap(token, onChanged));
  return html`
    <span class="row tight small overlap">
      <span class="muted">${t("tokens.overlap")} <${Countdown} until=${until} onEnd=${onChanged} /></span>
      ${may("token.write") && html`<${Button} size="small" busy=${busy} onClick=${end}>${t("tokens.end_now")}</${Button}>`}
    </span>`;
}

const endedOf = (secret) => secret.expired_time !== -1 && secret.expired_time <= now();

/** All secrets, the newest first. */
export function Secrets({ token, onRotate, onChanged }) {
  const { may } = useSession();
  const last = token.secrets.findIndex((secret) => secret.expired_time > now());
  return html`
    <ul class="secrets">
      ${token.secrets.map((secret, n) => html`<li key=${secret.key + secret.created_time}>
        <div class="row spread"><code>${secret.key.replace(/\*+/, "…")}</code>${state(secret, n)}</div>
        <div class="small muted">${t("tokens.secret_made")} <${When} at=${secret.created_time} /> · ${secret.last_used_time
          ? html`${t("tokens.secret_used")} <${When} at=${secret.last_used_time} />` : t("tokens.secret_unused")}</div>
        ${n === last && html`<${Overlap} token=${token} until=${secret.expired_time} onChanged=${onChanged} />`}
      </li>`)}
    </ul>
    ${may("token.write") && html`
      <div><${Button} size="small" icon="rotate" onClick=${() => onRotate(token)}>${t("tokens.rotate")}</${Button}></div>`}`;
}

function state(secret, n) {
  if (endedOf(secret)) return html`<${Tag}>${t("tokens.secret_ended")}</${Tag}>`;
  const present = n === 0;
  return html`<${Tag} tone=${present ? "good" : "warn"}>${t(present ? "tokens.secret_present" : "tokens.secret_ending")}</${Tag}>`;
}

const OVERLAPS = [0, 3600, 86_400, 604_800];

/** Asks for how long the present secret goes on, and makes a new one; `onRotated` gets the token with its new key. */
export function Rotation({ token, onClose, onRotated }) {
  const [overlap, setOverlap] = useState(86_400);
  const [key] = useState(once);
  const rotate = () => api.post(`/api/token/${token.id}/rotate`, { overlap_seconds: overlap }, { once: `${key}-${overlap}` });
  const until = dateTime(now() + overlap);
  return html`
    <${Question} title=${t("tokens.rotate_title", { name: token.name })} action=${t("tokens.rotate")} danger=${overlap === 0}
      act=${async () => onRotated(await rotate())} onClose=${onClose}>
      <p>${t("tokens.rotate_text")}</p>
      <${Choice} label=${t("tokens.overlap_for")} value=${overlap} onChange=${setOverlap}
        options=${OVERLAPS.map((seconds) => [seconds, t(`tokens.overlap_of.${seconds}`)])}>
        <p class="small muted">${overlap === 0 ? t("tokens.rotate_now_text") : t("tokens.rotate_overlap_text", { at: until })}</p>
      </${Choice}>
    </${Question}>`;
}

/** Asks before a key that was kept is shown; `onRevealed` gets it. */
export const Reveal = ({ token, onClose, onRevealed }) => html`
  <${Question} title=${t("tokens.reveal_title", { name: token.name })} action=${t("tokens.reveal")} danger=${false} onClose=${onClose}
    act=${async () => onRevealed((await api.post(`/api/token/${token.id}/key`)).key)}>
    <p>${t("tokens.reveal_text")}</p>
  </${Question}>`;
