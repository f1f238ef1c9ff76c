// The groups that an account has subscribed to: from when to when, and what binds its keys there together.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { zone } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty, Menu, Tag, When } from "../../ui/basics.js";
import { Drawer, Question, tell } from "../../ui/dialogs.js";
import { Select, Text } from "../../ui/form.js";
import { Limits, sentLimits } from "../../ui/limits.js";
import { Table } from "../../ui/table.js";
import { beginOf, dayOf, endOf } from "../people/days.js";
import { FormProblem, useGroups } from "../people/parts.js";
import { Balance, Bounds, Cap, capOf, sameCap, sentCap, sentCount } from "./parts.js";

const PLACED = ["starts_time", "ends_time", "quota_usd", "limits", "max_concurrency", "group"];

export function Subscriptions({ account, head, changed }) {
  const { may } = useSession();
  const [asking, ask] = useState(null);
  const writes = may("account.write_any");
  const close = () => ask(null);
  const text = t(writes ? "accounts.no_subscriptions_text" : "accounts.no_subscriptions_own");
  return html`
    <div class="row spread">${head}${writes
      && html`<${Button} icon="plus" onClick=${() => ask({ what: "edit" })}>${t("accounts.subscribe")}</${Button}>`}</div>
    <${Table} label=${t("accounts.subscriptions")} columns=${columns({ writes, ask })} answer=${{ data: account.subscriptions }}
      rowKey=${(row) => row.group}
      empty=${html`<${Empty} icon="group" title=${t("accounts.no_subscriptions")} text=${text} />`} />
    ${asking?.what === "edit"
      && html`<${SubscriptionForm} key=${asking.row?.version} account=${account} row=${asking.row} onClose=${close} onDone=${changed} />`}
    ${asking?.what === "end" && html`<${EndSubscription} row=${asking.row} onClose=${close} onDone=${changed} />`}`;
}

const columns = ({ writes, ask }) => [
  { name: "group", title: t("people.group"), head: true, cell: (row) => row.group },
  { name: "state", title: t("people.status"), cell: (row) => html`<${State} row=${row} />` },
  { name: "starts", title: t("accounts.starts"),
    cell: (row) => (row.starts_time ? html`<${When} at=${row.starts_time} />` : html`<span class="muted">–</span>`) },
  { name: "ends", title: t("accounts.ends"), cell: (row) => (row.ends_time ? html`<${When} at=${row.ends_time} />` : t("never")) },
  { name: "cap", title: t("accounts.quota"), cell: (row) => html`<${Balance} of=${row} uncapped=${t("accounts.no_cap")} />` },
  { name: "bounds", title: t("accounts.bounds"), cell: (row) => html`<${Bounds} of=${row} />` },
  writes && { name: "actions", title: t("actions"), actions: true, cell: (row) => html`
    <${Menu} label=${t("people.actions_of", { name: row.group })} items=${[
      { icon: "edit", text: t(row.implied ? "accounts.subscribe_too" : "edit"), act: () => ask({ what: "edit", row }) },
      row.active && { icon: "stop", text: t("accounts.end_now"), danger: true, act: () => ask({ what: "end", row }) },
    ]} />` },
].filter(Boolean);

function State({ row }) {
  if (row.active) return html`<${Tag} tone="good">${t("accounts.active")}</${Tag}>`;
  if (row.implied) return html`<span title=${t("accounts.implied_text")}><${Tag}>${t("accounts.implied")}</${Tag}></span>`;
  const begun = !row.starts_time || row.starts_time <= Date.now() / 1000;
  return html`<${Tag} tone=${begun ? "bad" : "warn"}>${t(begun ? "accounts.ended" : "accounts.not_begun")}</${Tag}>`;
}

function SubscriptionForm({ account, row, onClose, onDone }) {
  const taken = new Set(account.subscriptions.filter((each) => !each.implied).map((each) => each.group));
  const groups = useGroups(row?.group).filter(([name]) => row || !taken.has(name));
  const [draft, setDraft] = useState(() => ({
    group: row?.group ?? "", starts: dayOf(row?.starts_time), ends: dayOf(row?.ends_time), cap: capOf(row),
    limits: row?.limits ?? [], at_once: String(row?.max_concurrency ?? ""),
  }));
  const { busy, failure, run } = useSending();
  const change = (part) => setDraft((before) => ({ ...before, ...part }));
  const group = draft.group || groups[0]?.[0] || "";
  const send = () => run(async () => {
    const path = `/api/account/${account.id}/subscription/${encodeURIComponent(group)}`;
    const { late } = await api.put(path, bodyOf(draft, row), { version: row?.version, whole: true });
    tell(t(late ? "saved_late" : "saved"));
    onDone();
    onClose();
  });
  const of = (name) => failure?.of?.(name);
  const day = (name, field) => ({ type: "date", value: draft[name], mistake: of(field), onInput: (text) => change({ [name]: text }) });
  return html`<${Drawer} title=${row ? t("accounts.edit_subscription", { name: row.group }) : t("accounts.subscribe")} onClose=${onClose}
    onSubmit=${send} keep
    foot=${html`<${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}
        disabled=${group === ""}>${t(row && !row.implied ? "save" : "accounts.subscribe")}</${Button}>`}>
    ${row ? row.implied && html`<p class="muted">${t("accounts.implied_text")}</p>` : html`
      <${Select} label=${t("people.group")} hint=${groups.length ? t("accounts.subscribe_hint") : t("accounts.all_subscribed")}
        value=${group} options=${groups}
        mistake=${of("group")} onChange=${(each) => change({ group: each })} />`}
    <div class="grid halves">
      <${Text} label=${t("accounts.starts")} hint=${t("accounts.starts_hint")} ...${day("starts", "starts_time")} />
      <${Text} label=${t("accounts.ends")} hint=${t("accounts.ends_hint", { zone: zone() })} ...${day("ends", "ends_time")} />
    </div>
    <${Cap} label=${t("accounts.quota")} none=${t("accounts.no_cap")} hint=${t("accounts.quota_hint")} used=${row?.used_usd}
      value=${draft.cap} mistake=${of("quota_usd")}
      onChange=${(cap) => change({ cap })} />
    <${Limits} hint=${t("accounts.group_limits_hint")} value=${draft.limits} mistakes=${failure?.errors}
      onChange=${(limits) => change({ limits })} />
    <${Text} label=${t("accounts.at_once")} hint=${t("accounts.at_once_hint")} inputmode="numeric" value=${draft.at_once}
      mistake=${of("max_concurrency")}
      onInput=${(at_once) => change({ at_once })} />
    <${FormProblem} failure=${failure} placed=${PLACED} reload=${() => { onDone(); onClose(); }} />
  </${Drawer}>`;
}

/** What of the draft is sent: of a subscription that there is, only what was changed, so that a time keeps its seconds. */
function bodyOf(draft, row) {
  return {
    ...(dayOf(row?.starts_time) === draft.starts ? {} : { starts_time: beginOf(draft.starts) }),
    ...(dayOf(row?.ends_time) === draft.ends ? {} : { ends_time: endOf(draft.ends) }),
    ...(sameCap(draft.cap, row) ? {} : { quota_usd: sentCap(draft.cap) }),
    ...((row?.limits ?? []) === draft.limits || (!row && draft.limits.length === 0) ? {} : { limits: sentLimits(draft.limits) }),
    ...(String(row?.max_concurrency ?? "") === draft.at_once ? {} : { max_concurrency: sentCount(draft.at_once) }),
  };
}

const EndSubscription = ({ row, onClose, onDone }) => html`
  <${Question} title=${t("accounts.end_title", { name: row.group })} action=${t("accounts.end_now")} onClose=${onClose}
    act=${async () => {
      await api.delete(`/api/account/${row.account_id}/subscription/${encodeURIComponent(row.group)}`, { version: row.version });
      tell(t("accounts.was_ended", { name: row.group }));
      onDone();
    }}>
    <p>${t("accounts.end_text")}</p>
  </${Question}>`;
