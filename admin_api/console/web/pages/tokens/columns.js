// The columns of the table of keys.

import { date, number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { place, to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Tag, When } from "../../ui/basics.js";
import { limitText } from "../../ui/limits.js";
import { TokenQuota } from "../../ui/quota.js";
import { RowMenu } from "./row.js";
import { Overlap } from "./secrets.js";

const TONES = { 1: "good", 2: undefined, 3: "warn", 4: "bad" };

export const Status = ({ status }) => html`<${Tag} tone=${TONES[status]}>${t(`tokens.status.${status}`)}</${Tag}>`;

// The address keeps its filters, so that the list is as it was when the drawer is closed.
const editing = (token) => to("/keys", { ...Object.fromEntries(place().query), edit: token.id });

const Name = ({ token, changed }) => html`
  <a class="key-name break" href=${editing(token)}>${token.name}</a>
  <code class="muted small nowrap" title=${token.key}>${token.key.replace(/\*+/, "…")}</code>
  ${token.overlap_until > Date.now() / 1000 && html`<${Overlap} token=${token} onChanged=${changed} />`}`;

function Models({ models }) {
  if (models === null) return html`<span class="muted">${t("all")}</span>`;
  const counted = t("tokens.models_of", { count: models.length, amount: number(models.length) });
  return html`<span title=${models.join("\n")} class="break">${models.length === 1 ? models[0] : counted}</span>`;
}

function Limits({ effective }) {
  const texts = effective.limits.map(limitText);
  if (effective.max_concurrency) texts.push(t("tokens.at_once_of", { count: number(effective.max_concurrency) }));
  if (texts.length === 0) return html`<span class="muted">–</span>`;
  return html`
    <div class="small" title=${texts.join("\n")}>
      ${texts.slice(0, 2).map((text) => html`<div>${text}</div>`)}
      ${texts.length > 2 && html`<div class="muted">${t("tokens.more_limits", { count: number(texts.length - 2) })}</div>`}
    </div>`;
}

const Expiry = ({ at }) => (at === -1 ? html`<span class="muted">${t("never")}</span>`
  : html`<div><${When} at=${at} /></div><span class="muted small nowrap">${date(at)}</span>`);

const LastUsed = ({ at }) => (at ? html`<${When} at=${at} />` : html`<span class="muted">${t("tokens.not_used")}</span>`);

/** `acts` open what the menu of a row offers; `owners` shows whose each key is. */
export function columnsOf({ acts, owners }) {
  return [
    {
      name: "name", title: t("tokens.name"), sort: "name", head: true,
      cell: (token) => html`<${Name} token=${token} changed=${acts.changed} />`,
    },
    owners && { name: "owner", title: t("tokens.owner"), cell: (token) => token.username },
    { name: "status", title: t("tokens.status"), cell: (token) => html`<div><${Status} status=${token.status} /></div>` },
    { name: "group", title: t("tokens.group"), cell: (token) => token.group },
    { name: "quota", title: t("tokens.quota"), sort: "used_quota", cell: (token) => html`<${TokenQuota} token=${token} />` },
    { name: "expiry", title: t("tokens.expiry"), sort: "expired_time", cell: (token) => html`<${Expiry} at=${token.expired_time} />` },
    { name: "models", title: t("tokens.models"), cell: (token) => html`<${Models} models=${token.effective.models} />` },
    { name: "used", title: t("tokens.last_used"), sort: "accessed_time", cell: (token) => html`<${LastUsed} at=${token.accessed_time} />` },
    { name: "limits", title: t("tokens.limits"), cell: (token) => html`<${Limits} effective=${token.effective} />` },
    { name: "actions", title: t("actions"), actions: true, cell: (token) => html`<${RowMenu} token=${token} acts=${acts} />` },
  ].filter(Boolean);
}
