// One's own wallets: what is left, who shares them, and where new keys belong.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Answered, Button, Empty, Menu, Notice, Page, Tag } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { Filter } from "../../ui/form.js";
import { Tabs } from "../accounts/account.js";
import { EditAccount } from "../accounts/edit.js";
import { Figure, Figures } from "../accounts/parts.js";
import { MemberTag } from "../people/roles.js";
import { Redeem } from "./redeem.js";

export default function Wallet({ query }) {
  const { self } = useSession();
  const list = useAnswer((signal) => api.get("/api/account", { page_size: 100 }, { signal }), []);
  return html`<${Page} title=${t("page.wallet")} text=${t("wallet.text")}>
    <${Answered} answer=${list} lines=${5}>${({ items }) => {
      const id = Number(query.get("account")) || self.account_id;
      const chosen = items.find((each) => each.id === id) ?? items[0];
      if (!chosen) return html`<${Empty} icon="wallet" title=${t("wallet.none")} text=${t("wallet.none_text")} />`;
      return html`<${OneWallet} key=${chosen.id} id=${chosen.id} all=${items} query=${query} changed=${list.reload} />`;
    }}</${Answered}>
  </${Page}>`;
}

function OneWallet({ id, all, query, changed }) {
  const { may, self } = useSession();
  const answer = useAnswer((signal) => api.get(`/api/account/${id}`, {}, { signal }), [id]);
  const [open, setOpen] = useState(null);
  const close = () => setOpen(null);
  const reload = () => { answer.reload(); changed(); };
  return html`
    <${Answered} answer=${answer} lines=${5}>${(account) => {
      const own = account.members.find((each) => each.user_id === self.id);
      return html`<div class="stack">
        <${Head} account=${account} all=${all} own=${own} open=${setOpen} />
        ${account.status === 2 && html`<${Notice} tone="bad">${t("wallet.is_disabled")}</${Notice}>`}
        <${Figures} of=${account}>${own && own.quota_usd !== null && html`
          <${Figure} name=${t("wallet.your_cap")} value=${usd(own.remain_usd)} text=${t("accounts.of", { granted: usd(own.quota_usd) })} />`}
        </${Figures}>
        ${may("account.write") && html`<${Redeem} account=${account} onRedeemed=${reload} />`}
        <${Tabs} account=${account} query=${query} changed=${reload} />
      </div>
      ${open === "edit" && html`<${EditAccount} account=${account} onClose=${close} onChanged=${reload} reload=${answer.reload} />`}
      ${open === "leave" && html`<${Leave} account=${account} own=${own} onClose=${close} onLeft=${changed} />`}`;
    }}</${Answered}>`;
}

/** Which wallet it is, what one is in it, and whether new keys belong to it. */
function Head({ account, all, own, open }) {
  const { may, self, refresh } = useSession();
  const { busy, run } = useSending();
  const isDefault = account.id === self.account_id;
  const choose = async () => {
    const works = await run(async () => {
      await api.put("/api/user/self", { account_id: account.id });
      await refresh();
    });
    tell(works ? t("wallet.is_default_now", { name: account.name }) : t("problem.unknown"));
  };
  const writes = may("account.write");
  const manages = writes && (may("account.write_any") || account.role === "owner" || account.role === "admin");
  return html`<div class="row spread">
    <div class="row">
      ${all.length > 1
        ? html`<${Filter} label=${t("wallet.which")} value=${String(account.id)} options=${all.map((each) => [String(each.id), each.name])}
            onChange=${(id) => refine({ account: id, tab: "" })} />`
        : html`<h2 class="break">${account.name}</h2>`}
      ${own && html`<${MemberTag} role=${own.role} />`}
      ${isDefault && all.length > 1
        && html`<span title=${t("wallet.default_text")}><${Tag} tone="good">${t("wallet.default")}</${Tag}></span>`}
    </div>
    <div class="row">
      ${!isDefault && own && html`<${Button} busy=${busy} onClick=${choose}>${t("wallet.make_default")}</${Button}>`}
      ${(manages || (writes && own)) && html`<${Menu} label=${t("people.actions_of", { name: account.name })} items=${[
        manages && { icon: "edit", text: t("wallet.rename"), act: () => open("edit") },
        writes && own && { icon: "signOut", text: t("wallet.leave"), danger: true, act: () => open("leave") },
      ]} />`}
    </div>
  </div>`;
}

function Leave({ account, own, onClose, onLeft }) {
  const { self, refresh } = useSession();
  const act = async () => {
    await api.delete(`/api/account/${account.id}/member/${self.id}`, { version: own.version });
    tell(t("wallet.left", { name: account.name }));
    refine({ account: "", tab: "" });
    await refresh();
    onLeft();
  };
  return html`<${Question} title=${t("wallet.leave_title", { name: account.name })} action=${t("wallet.leave")} act=${act}
    onClose=${onClose}>
    <p>${t("wallet.leave_text")}</p>
  </${Question}>`;
}
