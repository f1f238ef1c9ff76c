// An account's name and grant.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button } from "../../ui/basics.js";
import { Drawer, tell } from "../../ui/dialogs.js";
import { Text } from "../../ui/form.js";
import { FormProblem } from "../people/parts.js";
import { Cap, capOf, sameCap, sentCap } from "./parts.js";

export function EditAccount({ account, onClose, onChanged, reload }) {
  const { may } = useSession();
  const [name, setName] = useState(account.name);
  const [cap, setCap] = useState(() => capOf(account));
  const { busy, failure, run, clear } = useSending();
  const regrants = !sameCap(cap, account);
  const send = () => run(async () => {
    const body = { ...(name === account.name ? {} : { name }), ...(regrants ? { quota_usd: sentCap(cap) } : {}) };
    const { late } = await api.patch(`/api/account/${account.id}`, body, { version: account.version, whole: true });
    tell(t(late ? "saved_late" : "saved"));
    onChanged();
    onClose();
  });
  return html`<${Drawer} title=${t("accounts.edit")} onClose=${onClose} onSubmit=${send} keep foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy} disabled=${name === account.name && !regrants}>${t("save")}</${Button}>`}>
    <${Text} label=${t("accounts.name")} value=${name} mistake=${failure?.of?.("name")} onInput=${setName} />
    ${may("account.write_any")
      && html`<${Cap} label=${t("accounts.money")} none=${t("unlimited")} value=${cap} onChange=${setCap} used=${account.used_usd}
      mistake=${failure?.of?.("quota_usd")} />`}
    <${FormProblem} failure=${failure} placed=${["name", "quota_usd"]} reload=${() => { clear(); reload(); }} />
  </${Drawer}>`;
}
