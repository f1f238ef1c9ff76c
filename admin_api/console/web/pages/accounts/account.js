// One account: its money, its members, the groups that it has subscribed to, and its history.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Answered, Button, Menu, Notice, Page, Segments } from "../../ui/basics.js";
import { tell } from "../../ui/dialogs.js";
import { Icon } from "../../ui/icons.js";
import { EditAccount } from "./edit.js";
import { Give } from "./give.js";
import { History } from "./history.js";
import { Members } from "./members.js";
import { Figures } from "./parts.js";
import { Subscriptions } from "./subscriptions.js";

export default function Account({ id, query }) {
  const answer = useAnswer((signal) => api.get(`/api/account/${id}`, {}, { signal }), [id]);
  const [open, setOpen] = useState(null);
  const close = () => setOpen(null);
  const account = answer.data;
  return html`
    <nav class="crumbs" aria-label=${t("accounts.where")}>
      <a href=${to("/admin/accounts")}><${Icon} name="left" />${t("page.accounts")}</a>
    </nav>
    <${Page} title=${account?.name ?? t("accounts.account")}
      actions=${account && html`<${Actions} account=${account} open=${setOpen} changed=${answer.reload} />`}>
      <${Answered} answer=${answer} lines=${6}>${(data) => html`
        <div class="stack">
          ${data.status === 2 && html`<${Notice} tone="bad">${t("accounts.is_disabled")}</${Notice}>`}
          <${Figures} of=${data} />
          <${Tabs} account=${data} query=${query} changed=${answer.reload} />
        </div>
        ${(open === "grant" || open === "top_up")
          && html`<${Give} account=${data} what=${open} onClose=${close} onGiven=${answer.reload} />`}
        ${open === "edit" && html`<${EditAccount} account=${data} onClose=${close} onChanged=${answer.reload} reload=${answer.reload} />`}`}
      </${Answered}>
    </${Page}>`;
}

function Actions({ account, open, changed }) {
  const { may } = useSession();
  const writes = may("account.write_any");
  const on = account.status === 1;
  const audit = to("/admin/audit", { object_kind: "account", object_id: account.id });
  if (!writes) return may("audit.read") && html`<a class="button" href=${audit}><${Icon} name="audit" />${t("page.audit")}</a>`;
  return html`
    <${Button} tone="primary" icon="plus" onClick=${() => open("grant")}>${t("accounts.give")}</${Button}>
    <${Menu} label=${t("people.actions_of", { name: account.name })} items=${[
      { icon: "wallet", text: t("accounts.top_up"), act: () => open("top_up") },
      { icon: "edit", text: t("edit"), act: () => open("edit") },
      { icon: on ? "pause" : "play", text: t(on ? "people.disable" : "people.enable"), act: () => setStatus(account, on ? 2 : 1, changed) },
      may("audit.read") && { icon: "audit", text: t("page.audit"), href: audit },
    ]} />`;
}

async function setStatus(account, status, changed) {
  try {
    await api.patch(`/api/account/${account.id}`, { status });
    const undo = { text: t("undo"), act: () => setStatus(account, status === 1 ? 2 : 1, changed) };
    tell(t(status === 1 ? "accounts.was_enabled" : "accounts.was_disabled"), undo);
  } catch (failure) {
    tell(failure);
  }
  changed();
}

/** What there is of an account beside its money. Whoever does not manage it sees less. */
export function Tabs({ account, query, changed }) {
  const { may } = useSession();
  const manages = may("account.read_any") || account.role !== "member";
  const tabs = [manages && "members", "subscriptions", manages && "history"].filter(Boolean);
  const tab = tabs.includes(query.get("tab")) ? query.get("tab") : tabs[0];
  // Each part has this beside what can be done in it.
  const head = html`<${Segments} label=${t("accounts.parts")} value=${tab} onChange=${(each) => refine({ tab: each })}
    options=${tabs.map((each) => [each, t(`accounts.${each}`)])} />`;
  const Part = { members: Members, subscriptions: Subscriptions, history: History }[tab];
  return html`<section class="stack tight"><${Part} account=${account} head=${head} changed=${changed} /></section>`;
}
