// The form that makes or changes a key: the simple things first, the rest folded.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { linesOf } from "../../core/network.js";
import { once } from "../../core/once.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useMemo, useRef, useState } from "../../core/view.js";
import { Answered, Button, Notice, Problem } from "../../ui/basics.js";
import { Drawer, tell } from "../../ui/dialogs.js";
import { Fold, Select, Text } from "../../ui/form.js";
import { unplaced } from "../../ui/sent_form.js";
import { changeOf, creationOf, draftOf, gapsOf } from "./draft.js";
import { Expiry, Group, Quota } from "./fields.js";
import { Addresses, AtOnce, Bounds, Models } from "./rules.js";
import { Secrets } from "./secrets.js";

const QUOTA_FIELDS = ["quota_usd", "remain_quota", "unlimited_quota", "add_quota_usd", "add_quota"];

/** Makes a key. `onMade(tokens)` gets what was made, with the whole keys. `ownerId` is whose they are, where it is not oneself. */
export function Creation({ ownerId, onClose, onMade }) {
  const { self } = useSession();
  const [draft, setDraft] = useState(() => draftOf(null, { owner: ownerId ?? "" }));
  const owner = useAnswer((signal) => (ownerId ? api.get(`/api/user/${ownerId}`, {}, { signal }) : Promise.resolve(self)), [ownerId]).data;
  const key = useMemo(once, [draft]); // what is sent again unchanged is not made twice
  const send = async () => {
    const made = await api.post("/api/token", creationOf(draft), { once: key });
    onMade(made.items ?? [made]);
  };
  return html`<${Form} title=${ownerId && owner ? t("tokens.new_for", { name: owner.username }) : t("tokens.new")} action=${t("create")}
    draft=${draft} setDraft=${setDraft} fallback=${(owner ?? self).group} send=${send} onClose=${onClose} />`;
}

/** Changes the token `id`. */
export function Edit({ id, onClose, onChanged, onRotate }) {
  const answer = useAnswer((signal) => api.get(`/api/token/${id}`, {}, { signal }), [id]);
  if (answer.data === undefined || answer.data.id !== Number(id)) {
    return html`<${Drawer} title=${t("tokens.key")} onClose=${onClose}><${Answered} answer=${answer} lines=${8}>${() => null}</${Answered}></${Drawer}>`;
  }
  return html`<${EditForm} key=${id} token=${answer.data} reload=${answer.reload} onClose=${onClose} onChanged=${onChanged} onRotate=${onRotate} />`;
}

function EditForm({ token, reload, onClose, onChanged, onRotate }) {
  const { self } = useSession();
  const [draft, setDraft] = useState(() => draftOf(token));
  const [stale, setStale] = useState(false);
  useEffect(() => {
    if (stale) setDraft(draftOf(token));
    setStale(false);
  }, [token.version]);
  const readAgain = () => {
    setStale(true);
    reload();
  };
  const send = async () => {
    const change = changeOf(draft, token);
    if (Object.keys(change).length) {
      const { late } = await api.patch(`/api/token/${token.id}`, change, { version: token.version, whole: true });
      tell(t(late ? "saved_late" : "saved"));
      onChanged();
    }
    onClose();
  };
  const fallback = token.inherited.includes("group") || token.user_id !== self.id ? token.group : self.group;
  return html`<${Form} title=${t("tokens.edit", { name: token.name })} action=${t("save")} token=${token} draft=${draft} setDraft=${setDraft}
    fallback=${fallback} send=${send} onClose=${onClose} readAgain=${readAgain}
    onRotate=${onRotate} onChanged=${() => { reload(); onChanged(); }} />`;
}

function Form({ title, action, token = null, draft, setDraft, fallback, send, onClose, readAgain, onRotate, onChanged }) {
  const { may } = useSession();
  const { busy, failure, run, clear } = useSending();
  const [tried, setTried] = useState(false);
  const groups = useAnswer((signal) => api.get("/api/user/self/groups", {}, { signal }), []).data ?? {};
  const change = (changes) => setDraft((before) => ({ ...before, ...changes }));
  const body = useRef();
  const gaps = tried ? gapsOf(draft) : {};
  const mistake = (gap, ...fields) => (gaps[gap] && t(gaps[gap])) || fields.map((field) => failure?.of?.(field)).find(Boolean);
  const mine = may("token.write");
  useEffect(() => body.current.querySelector("[aria-invalid=true]")?.focus(), [failure, tried]);
  const submit = () => {
    setTried(true);
    if (Object.keys(gapsOf(draft)).length === 0) run(send);
  };
  const group = groups[draft.group || fallback];
  const shared = { draft, change, token, failure, offered: group?.models ?? [], inherited: group?.token_defaults ?? known(token), of: (field) => failure?.of?.(field) };
  const wrong = (...fields) => fields.some((field) => failure?.of?.(field));
  return html`
    <${Drawer} title=${title} keep onClose=${onClose} onSubmit=${submit} foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      ${mine && html`<${Button} type="submit" tone="primary" busy=${busy}>${action}</${Button}>`}`}>
      <div class="stack" ref=${body}>
        <${Trouble} failure=${failure} reload=${() => { clear(); readAgain(); }} />
        <${Name} ...${shared} mistake=${mistake("name", "name")} many=${mistake("count", "count")} />
        <${Quota} ...${shared} mistake=${mistake("amount", ...QUOTA_FIELDS)} />
        <${Expiry} ...${shared} mistake=${mistake("date", "expired_time", "expires_in_days")} />
        <${Group} draft=${draft} change=${change} groups=${groups} fallback=${fallback} mistake=${mistake("group", "group")} />
        <${Fold} title=${titled("models", draft.models?.length)} open=${draft.models !== null || wrong("model_limits")}>
          <${Models} ...${shared} mistake=${mistake("models", "model_limits")} /></${Fold}>
        <${Fold} title=${titled("addresses", counted(draft.allow, draft.deny))} open=${draft.allow !== null || draft.deny !== null || wrong("allow_ips", "deny_ips")}>
          <${Addresses} ...${shared} /></${Fold}>
        <${Fold} title=${titled("limits", draft.limits === null && draft.concurrency === null ? undefined : (draft.limits?.length ?? 0) + (Number(draft.concurrency) > 0))} open=${draft.limits !== null || draft.concurrency !== null || wrong("limits", "max_concurrency")}>
          <${Bounds} ...${shared} /><${AtOnce} ...${shared} mistake=${mistake("concurrency", "max_concurrency")} /></${Fold}>
        <${Fold} title=${t("tokens.fold.more")} open=${Boolean(gaps.metadata) || wrong("metadata", "reserve", "account_id")}><${More} ...${shared} mistake=${mistake} /></${Fold}>
        ${token && html`<${Fold} title=${t("tokens.fold.secrets")}><${Secrets} token=${token} onRotate=${onRotate} onChanged=${onChanged} /></${Fold}>`}
      </div>
    </${Drawer}>`;
}

/** A title with how many rules of its own the key has; as the group where it has none. */
const titled = (fold, count) => html`${t(`tokens.fold.${fold}`)}<small class="muted">${count === undefined ? t("tokens.as_group") : number(count)}</small>`;

const counted = (...texts) => (texts.every((text) => text === null) ? undefined : texts.reduce((sum, text) => sum + linesOf(text ?? "").length, 0));

/** What the token says of its group's rules, where the groups cannot be asked: as far as it leaves them to the group. */
function known(token) {
  if (!token) return null;
  return ["model_limits", "allow_ips", "deny_ips", "limits", "max_concurrency"].every((each) => token.inherited.includes(each)) ? token.effective : null;
}

// What is wrong with these is told at them.
const PLACED = [
  ...QUOTA_FIELDS, "name", "count", "expired_time", "expires_in_days", "group", "model_limits", "allow_ips", "deny_ips", "limits",
  "max_concurrency", "reserve", "metadata", "account_id",
];

function Trouble({ failure, reload }) {
  if (failure?.status === 412) {
    return html`<${Notice} tone="warn" live>${t("tokens.changed_meanwhile")} <${Button} size="small" onClick=${reload}>${t("tokens.read_again")}</${Button}></${Notice}>`;
  }
  const rest = unplaced(failure, PLACED);
  return failure && !rest ? html`<${Notice} tone="bad" live>${t("tokens.look_below")}</${Notice}>` : html`<${Problem} failure=${rest} />`;
}

const Name = ({ draft, change, token, mistake, many }) => html`
  <div class=${token ? "" : "name-and-count"}>
    <${Text} label=${t("tokens.name")} value=${draft.name} maxlength="100" autocomplete="off" autofocus placeholder=${t("tokens.name_example")}
      hint=${token ? undefined : t("tokens.name_hint")} mistake=${mistake} onInput=${(name) => change({ name })} />
    ${!token && html`<${Text} label=${t("tokens.count")} type="number" min="1" max="100" value=${draft.count} mistake=${many} onInput=${(count) => change({ count })} />`}
  </div>`;

function More({ draft, change, token, mistake }) {
  const { may } = useSession();
  const accounts = useAnswer((signal) => (token || draft.owner ? Promise.resolve(null) : api.get("/api/account", { page_size: 100 }, { signal })), []).data?.items ?? [];
  const names = accounts.map((each) => [String(each.id), each.name || t("tokens.account_of", { id: each.id })]);
  return html`
    ${names.length > 1 && html`<${Select} label=${t("tokens.account")} hint=${t("tokens.account_hint")} value=${draft.account}
      options=${[["", t("tokens.account_default")], ...names]} mistake=${mistake("account", "account_id")} onChange=${(account) => change({ account })} />`}
    ${may("token.write_any") && html`<${Select} label=${t("tokens.reserve")} hint=${t("tokens.reserve_hint")} value=${draft.reserve}
      options=${["", "strict", "estimate"].map((each) => [each, t(`tokens.reserve.${each || "default"}`)])} mistake=${mistake("reserve", "reserve")}
      onChange=${(reserve) => change({ reserve })} />`}
    <${Text} label=${t("tokens.metadata")} class="mono" lines=${3} spellcheck="false" placeholder='{"team": "search"}' hint=${t("tokens.metadata_hint")}
      value=${draft.metadata} mistake=${mistake("metadata", "metadata")} onInput=${(metadata) => change({ metadata })} />`;
}
