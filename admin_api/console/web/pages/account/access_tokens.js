// Access tokens: what programs call the admin API with.

import { useAnswer } from "../../core/answers.js";
import { api } from "../../core/api.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Copy, Empty, Snippet, Tag, When } from "../../ui/basics.js";
import { Question } from "../../ui/dialogs.js";
import { Table } from "../../ui/table.js";
import { NewAccessToken, scopeText } from "./new_access_token.js";

const PATH = "/api/user/self/access_token";

export function AccessTokens() {
  const answer = useAnswer((signal) => api.get(PATH, {}, { signal }), []);
  const [making, setMaking] = useState(false);
  const [dropped, setDropped] = useState(null);
  const drop = async () => {
    await api.delete(`${PATH}/${dropped.id}`);
    answer.reload();
  };
  const make = html`<${Button} tone="primary" size="small" icon="plus" onClick=${() => setMaking(true)}>${t("account.new_token")}</${Button}>`;
  return html`
    <section class="stack tight" aria-label=${t("account.access_tokens")}>
      <div class="row spread section-head"><h2>${t("account.access_tokens")}</h2>${make}</div>
      <p class="muted">${t("account.access_tokens_text")}</p>
      <${Table} label=${t("account.access_tokens")} columns=${columnsOf(setDropped)} answer=${answer}
        empty=${html`<${Empty} icon="key" title=${t("account.no_access_tokens")} />`} />
      <${Example} />
    </section>
    ${making && html`<${NewAccessToken} onMade=${answer.reload} onClose=${() => setMaking(false)} />`}
    ${dropped && html`<${Question} title=${t("account.delete_token", { name: dropped.name })} action=${t("delete")} act=${drop}
      onClose=${() => setDropped(null)}>
      <p>${t("account.delete_token_text")}</p>
      ${dropped.last_used_time > 0 && html`<p>${t("account.last_used")}: <${When} at=${dropped.last_used_time} /></p>`}
    </${Question}>`}`;
}

const columnsOf = (drop) => [
  { name: "name", title: t("account.token_name"), head: true, cell: (row) => row.name },
  { name: "scopes", title: t("account.scopes"), cell: (row) => row.scopes.length === 0
    ? html`<span class="muted">${t("account.scopes_all")}</span>`
    : html`<span class="row tight">${row.scopes.map((scope) => html`
      <${Tag} key=${scope}><span title=${scopeText(scope)}>${scope}</span></${Tag}>`)}</span>` },
  { name: "addresses", title: t("account.addresses"), cell: (row) =>
    row.allow_ips.join(", ") || html`<span class="muted">${t("account.anywhere")}</span>` },
  { name: "used", title: t("account.last_used"), cell: (row) => row.last_used_time ? html`<${When} at=${row.last_used_time} />` : t("never") },
  { name: "expires", title: t("account.expires"), cell: (row) => row.expired_time === -1 ? t("never") : row.expired_time * 1000 < Date.now()
    ? html`<${Tag} tone="bad">${t("account.expired")}</${Tag}>` : html`<${When} at=${row.expired_time} />` },
  { name: "actions", title: t("actions"), actions: true, cell: (row) => html`
    <${Button} tone="quiet danger" size="small" icon="trash" label=${t("account.delete_token", { name: row.name })}
      onClick=${() => drop(row)} />` },
];

/** What automation that was written for New-API sends: the access token, and whose it is. */
function Example() {
  const { self } = useSession();
  return html`
    <section class="card stack" aria-label=${t("account.example")}>
      <div class="row spread"><h3>${t("account.example")}</h3>
        <span class="row"><span class="muted">${t("account.user_id")}</span><code>${self.id}</code>
          <${Copy} text=${`${self.id}`} label=${t("account.copy_user_id")} /></span></div>
      <${Snippet} text=${exampleOf(location.origin, self.id)} />
      <p class="muted small">${t("account.example_text")} <a href="/api/docs" target="_blank" rel="noopener">${t("account.all_calls")}</a></p>
    </section>`;
}

export const exampleOf = (origin, userId) => `curl '${origin}/api/token/?p=1&size=20' \\
  -H "Authorization: Bearer $TOLLHOUSE_ACCESS_TOKEN" \\
  -H 'New-Api-User: ${userId}'`;
