// Every change of a grant: what was given, paid in, redeemed, edited.

import { api } from "../../core/api.js";
import { usd } from "../../core/format.js";
import { has, t } from "../../core/messages.js";
import { useParts } from "../../core/parts.js";
import { classes, html, useState } from "../../core/view.js";
import { Empty, Problem, When } from "../../ui/basics.js";
import { Filter } from "../../ui/form.js";
import { More, Table } from "../../ui/table.js";
import { parametersOf, scopesOf } from "./give.js";

const SHOWN = 20;

export function History({ account, head }) {
  const [scope, setScope] = useState("");
  const path = `/api/account/${account.id}/history`;
  const ask = (cursor, signal) => api.get(path, { ...parametersOf(scope), cursor, limit: SHOWN }, { signal });
  // What was granted says when there is something new.
  const { answer, more, busy, failure } = useParts(ask, [account.id, scope, account.version, account.quota_usd]);
  const scopes = scopesOf(account);
  return html`
    <div class="row spread">${head}${scopes.length > 1 && html`<div class="filters bare">
      <${Filter} label=${t("accounts.whose_history")} value=${scope} options=${scopes} onChange=${setScope} /></div>`}</div>
    <${Table} label=${t("accounts.history")} columns=${columns()} answer=${answer}
      empty=${html`<${Empty} icon="wallet" title=${t("accounts.no_history")} />`}
      foot=${more && html`<${More} onMore=${more} busy=${busy} />`} />
    <${Problem} failure=${failure} retry=${more} />`;
}

const columns = () => [
  { name: "what", title: t("accounts.what"), head: true, cell: (entry) => html`${kindOf(entry)}
    ${entry.note && html`<div class="muted small">${entry.note}</div>`}
    ${entry.reference && html`<div class="muted small mono">${entry.reference}</div>`}` },
  { name: "amount", title: t("accounts.amount"), number: true,
    cell: (entry) => html`<span class=${classes("amount", entry.amount_usd < 0 && "less")}>${signed(entry.amount_usd)}</span>` },
  { name: "actor", title: t("accounts.by"), cell: (entry) => entry.actor_name ?? actorText(entry.actor) },
  { name: "time", title: t("accounts.time"), cell: (entry) => html`<${When} at=${entry.time} />` },
];

const kindOf = ({ kind }) => (has(`accounts.kind.${kind}`) ? t(`accounts.kind.${kind}`) : kind);

const signed = (amount) => (amount > 0 ? `+${usd(amount)}` : amount < 0 ? `−${usd(-amount)}` : "–");

/** Who acted where no user did. */
const actorText = (actor) => (has(`accounts.actor.${actor}`) ? t(`accounts.actor.${actor}`) : actor);
