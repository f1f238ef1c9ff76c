// Inviting somebody: by a letter, or with a link that one hands over.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { dateTime } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Notice, Segments } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Select, Text } from "../../ui/form.js";
import { sentAmount } from "../accounts/parts.js";
import { AccountChoice, FormProblem, ShownOnce, useGroups } from "../people/parts.js";
import { roleHint, roleOptions } from "../people/roles.js";

const BEGUN = { how: "link", email: "", role: "user", group: "default", wallet: "own", account_id: "", grant: "", uses: "1", expires_in_days: "7" };
const PLACED = ["email", "role", "group", "account_id", "grant_usd", "uses", "expires_in_days"];

const bodyOf = (draft) => ({
  role: draft.role, group: draft.group, uses: sentAmount(draft.uses), expires_in_days: sentAmount(draft.expires_in_days),
  ...(draft.how === "mail" ? { email: draft.email } : {}),
  ...(draft.wallet === "account" && draft.account_id ? { account_id: Number(draft.account_id) } : {}),
  ...(draft.wallet === "own" && draft.grant.trim() ? { grant_usd: sentAmount(draft.grant) } : {}),
});

export function CreateInvite({ onClose, onCreated }) {
  const { may, self, status } = useSession();
  const [draft, setDraft] = useState(BEGUN);
  const [key, setKey] = useState(once);
  const [made, setMade] = useState(null);
  const { busy, failure, run } = useSending();
  const groups = useGroups("default");
  const change = (part) => { setDraft((before) => ({ ...before, ...part })); setKey(once()); };
  const send = () => run(async () => {
    const invite = await api.post("/api/invite", bodyOf(draft), { once: key });
    onCreated();
    setMade(invite);
  });
  const of = (name) => failure?.of?.(name);
  const given = (name) => ({ value: draft[name], mistake: of(name), onInput: (text) => change({ [name]: text }) });
  if (made) return html`<${Made} invite=${made} onClose=${onClose} />`;
  const mail = draft.how === "mail";
  return html`<${Drawer} title=${t("invites.create")} onClose=${onClose} onSubmit=${send} keep foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}>${t(mail ? "invites.send" : "invites.make_link")}</${Button}>`}>
    <div class="stack tight"><div><${Segments} label=${t("invites.how")} value=${draft.how}
      options=${[["link", t("invites.by_link")], ["mail", t("invites.by_mail")]]}
      onChange=${(how) => change({ how, uses: how === "mail" ? "1" : draft.uses })} /></div>
      ${mail && (status.mail
        ? html`<${Text} label=${t("invites.email")} type="email" ...${given("email")} autocomplete="off" />`
        : html`<${Notice} tone="warn">${t("invites.no_mail")}</${Notice}>`)}</div>
    <${Select} label=${t("people.role")} hint=${roleHint(draft.role)} value=${draft.role} options=${roleOptions(self.role)}
      mistake=${of("role")} onChange=${(role) => change({ role })} />
    <${Select} label=${t("people.group")} value=${draft.group} options=${groups} mistake=${of("group")}
      onChange=${(group) => change({ group })} />
    ${may("account.write_any") && html`<fieldset class="stack tight"><legend>${t("invites.wallet")}</legend>
      <div><${Segments} label=${t("invites.wallet")} value=${draft.wallet}
        options=${[["own", t("invites.own_wallet")], ["account", t("invites.shared_wallet")]]}
        onChange=${(wallet) => change({ wallet })} /></div>
      ${draft.wallet === "own" ? html`<${Text} label=${t("invites.grant")} hint=${t("invites.grant_hint")} unit="USD"
          inputmode="decimal" mistake=${of("grant_usd")} value=${draft.grant} onInput=${(grant) => change({ grant })} />`
        : html`<${AccountChoice} label=${t("people.account")} hint=${t("invites.account_hint")} mistake=${of("account_id")}
          value=${draft.account_id}
            onChange=${(account_id) => change({ account_id })} />`}</fieldset>`}
    <div class="grid halves">
      <${Text} label=${t("invites.uses")} hint=${t("invites.uses_hint")} inputmode="numeric" ...${given("uses")} />
      <${Text} label=${t("invites.expires_in")} unit=${t("invites.days")} inputmode="numeric" ...${given("expires_in_days")} />
    </div>
    <${FormProblem} failure=${failure} placed=${PLACED} />
  </${Drawer}>`;
}

const Made = ({ invite, onClose }) => html`
  <${Drawer} title=${t("invites.made")} onClose=${onClose} onSubmit=${onClose} keep
    foot=${html`<${Button} type="submit" tone="primary">${t("people.done")}</${Button}>`}>
    ${invite.email && html`<${Notice} tone="good">${t("invites.was_sent", { email: invite.email })}</${Notice}>`}
    <${ShownOnce} text=${t("invites.once_text")} label=${t("invites.link")} value=${invite.link} />
    <p class="muted">${t("invites.made_text", { count: invite.uses, until: dateTime(invite.expired_time) })}</p>
  </${Drawer}>`;
