// The form of a key: the simple things first, the rest folded. Mistakes that the server finds stand at their fields.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { linesOf } from "../../core/network.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { Button, Notice, Problem } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Fold, Select, Text } from "../../ui/form.js";
import { unplaced } from "../../ui/sent_form.js";
import { gapsOf } from "./draft.js";
import { Expiry, Group, Quota } from "./fields.js";
import { Addresses, AtOnce, Bounds, Models } from "./rules.js";

const QUOTA_FIELDS = ["quota_usd", "remain_quota", "unlimited_quota", "add_quota_usd", "add_quota"];
const RULES = ["model_limits", "allow_ips", "deny_ips", "limits", "max_concurrency"];
// What is wrong with these is told at them.
const PLACED = [
  ...QUOTA_FIELDS, ...RULES, "name", "count", "expired_time", "expires_in_days", "group", "reserve", "metadata", "account_id",
];

/**
 * A drawer with the form. `token` is null for a new key, `fallback` the group of its owner; `send()` is awaited.
 *
 * `readAgain` replaces what is written by what is stored. `children` stand below everything.
 */
export function Form({ title, action, token, draft, setDraft, fallback, send, onClose, readAgain, children }) {
  const { may } = useSession();
  const { busy, failure, run, clear } = useSending();
  const [tried, setTried] = useState(false);
  const body = useRef();
  const groups = useAnswer((signal) => api.get("/api/user/self/groups", {}, { signal }), []).data ?? {};
  const group = groups[draft.group || fallback];
  const gaps = tried ? gapsOf(draft) : {};
  const parts = {
    draft, token, failure, groups, fallback,
    change: (changes) => setDraft((before) => ({ ...before, ...changes })),
    // A gap that is seen here, or else the server's mistake in one of the fields.
    mistake: (gap, ...fields) => (gaps[gap] ? t(gaps[gap]) : fields.map((field) => failure?.of?.(field)).find(Boolean)),
    offered: group?.models ?? [],
    inherited: group?.token_defaults ?? known(token),
  };
  useEffect(() => body.current.querySelector("[aria-invalid=true]")?.focus(), [failure, tried]);
  const submit = () => {
    setTried(true);
    if (Object.keys(gapsOf(draft)).length === 0) run(send);
  };
  const again = () => {
    clear();
    readAgain();
  };
  return html`
    <${Drawer} title=${title} keep onClose=${onClose} onSubmit=${submit} foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      ${may("token.write") && html`<${Button} type="submit" tone="primary" busy=${busy}>${action}</${Button}>`}`}>
      <div class="stack" ref=${body}>
        <${Trouble} failure=${failure} again=${again} />
        <${Simple} ...${parts} />
        <${Folded} ...${parts} />
        ${children}
      </div>
    </${Drawer}>`;
}

/** What the token says of its group's rules, where the group cannot be asked: only if it leaves all of them to the group. */
const known = (token) => (token && RULES.every((each) => token.inherited.includes(each)) ? token.effective : null);

function Trouble({ failure, again }) {
  if (failure?.status === 412) {
    return html`
      <${Notice} tone="warn" live>${t("tokens.changed_meanwhile")}
        ${" "}<${Button} size="small" onClick=${again}>${t("tokens.read_again")}</${Button}></${Notice}>`;
  }
  const rest = unplaced(failure, PLACED);
  return failure && !rest ? html`<${Notice} tone="bad" live>${t("tokens.look_below")}</${Notice}>` : html`<${Problem} failure=${rest} />`;
}

const Simple = (parts) => html`
  <${Name} ...${parts} />
  <${Quota} ...${parts} mistake=${parts.mistake("amount", ...QUOTA_FIELDS)} />
  <${Expiry} ...${parts} mistake=${parts.mistake("date", "expired_time", "expires_in_days")} />
  <${Group} ...${parts} mistake=${parts.mistake("group", "group")} />`;

const Name = ({ draft, change, token, mistake }) => html`
  <div class=${token ? "" : "name-and-count"}>
    <${Text} label=${t("tokens.name")} value=${draft.name} maxlength="100" autocomplete="off" autofocus
      placeholder=${t("tokens.name_example")} hint=${token ? undefined : t("tokens.name_hint")} mistake=${mistake("name", "name")}
      onInput=${(name) => change({ name })} />
    ${!token && html`
      <${Text} label=${t("tokens.count")} type="number" min="1" max="100" value=${draft.count} mistake=${mistake("count", "count")}
        onInput=${(count) => change({ count })} />`}
  </div>`;

/** Rules that are open where the key has its own, or where something is wrong with them. */
function Folded(parts) {
  const { draft, mistake } = parts;
  const bounds = draft.limits === null && draft.concurrency === null ? null : (draft.limits?.length ?? 0) + (Number(draft.concurrency) > 0);
  const blocks = draft.allow === null && draft.deny === null ? null : linesOf(`${draft.allow ?? ""}\n${draft.deny ?? ""}`).length;
  return html`
    <${Part} name="models" own=${draft.models?.length ?? null} wrong=${mistake("models", "model_limits")}>
      <${Models} ...${parts} mistake=${mistake("models", "model_limits")} />
    </${Part}>
    <${Part} name="addresses" own=${blocks} wrong=${mistake("blocks", "allow_ips", "deny_ips")}>
      <${Addresses} ...${parts} />
    </${Part}>
    <${Part} name="limits" own=${bounds} wrong=${mistake("bounds", "limits", "max_concurrency")}>
      <${Bounds} ...${parts} />
      <${AtOnce} ...${parts} mistake=${mistake("concurrency", "max_concurrency")} />
    </${Part}>
    <${Fold} title=${t("tokens.fold.more")} open=${Boolean(mistake("metadata", "metadata", "reserve", "account_id"))}>
      <${More} ...${parts} />
    </${Fold}>`;
}

/** A fold that says how many rules of its own the key has; null leaves them to the group. */
const Part = ({ name, own, wrong, children }) => html`
  <${Fold} open=${own !== null || Boolean(wrong)}
    title=${html`${t(`tokens.fold.${name}`)}<small class="muted">${own === null ? t("tokens.as_group") : number(own)}</small>`}>
    ${children}
  </${Fold}>`;

function More({ draft, change, token, mistake }) {
  const { may } = useSession();
  return html`
    ${token && html`<${Payer} token=${token} />`}
    ${!token && !draft.owner && html`<${Account} draft=${draft} change=${change} mistake=${mistake("account", "account_id")} />`}
    ${may("token.write_any") && html`
      <${Select} label=${t("tokens.reserve")} hint=${t("tokens.reserve_hint")} value=${draft.reserve}
        mistake=${mistake("reserve", "reserve")}
        options=${["", "strict", "estimate"].map((each) => [each, t(`tokens.reserve.${each || "default"}`)])}
        onChange=${(reserve) => change({ reserve })} />`}
    <${Text} label=${t("tokens.metadata")} class="mono" lines=${3} spellcheck="false" placeholder='{"team": "search"}'
      value=${draft.metadata} hint=${t("tokens.metadata_hint")} mistake=${mistake("metadata", "metadata")} onInput=${(metadata) => change({ metadata })} />`;
}

/** Which account pays, of a key that there is: nothing changes that. Its id, where one may not look at it. */
function Payer({ token }) {
  const { may } = useSession();
  const id = token.account_id;
  const answer = useAnswer((signal) => api.get(`/api/account/${id}`, {}, { signal }).catch(() => null), [id]);
  const name = answer.loading ? "…" : answer.data?.name || t("tokens.account_of", { id });
  const place = may("account.read_any") ? to(`/admin/accounts/${id}`) : to("/wallet", { account: id });
  return html`<div class="field"><span class="label">${t("tokens.account")}</span>
    <div>${answer.data ? html`<a href=${place}>${name}</a>` : name}</div>
    <div class="hint">${t("tokens.account_stays")}</div></div>`;
}

/** Which of several accounts pays. */
function Account({ draft, change, mistake }) {
  const accounts = useAnswer((signal) => api.get("/api/account", { page_size: 100 }, { signal }), []).data?.items ?? [];
  if (accounts.length < 2) return null;
  const names = accounts.map(({ id, name }) => [String(id), name || t("tokens.account_of", { id })]);
  return html`
    <${Select} label=${t("tokens.account")} hint=${t("tokens.account_hint")} value=${draft.account} mistake=${mistake}
      options=${[["", t("tokens.account_default")], ...names]} onChange=${(account) => change({ account })} />`;
}
