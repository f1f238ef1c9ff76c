// The drawer that makes an access token, and shows its secret once.

import { useSending } from "../../core/answers.js";
import { api } from "../../core/api.js";
import { dateTime, zone } from "../../core/format.js";
import { has, t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Copy, Notice, Problem } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Check, Select, Text } from "../../ui/form.js";
import { unplaced } from "../../ui/sent_form.js";

const DAYS = [7, 30, 90, 365];
const FIELDS = ["name", "scopes", "allow_ips", "expires_in_days"];

export const scopeText = (scope) => (has(`account.scope.${scope}`) ? t(`account.scope.${scope}`) : scope);

export function NewAccessToken({ onMade, onClose }) {
  const [draft, setDraft] = useState({ name: "", scopes: null, allow_ips: "", days: 90 });
  const [made, setMade] = useState(null);
  const [key, setKey] = useState(once);
  const sending = useSending();
  const change = (part) => {
    setDraft((before) => ({ ...before, ...part }));
    setKey(once()); // another body is another creation
  };
  const send = () => sending.run(async () => {
    const body = { name: draft.name, scopes: draft.scopes ?? [], allow_ips: draft.allow_ips, expires_in_days: draft.days };
    setMade(await api.post("/api/user/self/access_token", body, { once: key }));
    onMade();
  });
  if (made) return html`<${Made} made=${made} onClose=${onClose} />`;
  const mistake = (field) => sending.failure?.of?.(field);
  return html`
    <${Drawer} title=${t("account.new_token")} keep onClose=${onClose} onSubmit=${send} foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${sending.busy}>${t("create")}</${Button}>`}>
      <${Text} label=${t("account.token_name")} hint=${t("account.token_name_hint")} value=${draft.name} maxlength="100"
        onInput=${(name) => change({ name })} mistake=${mistake("name")} />
      <${Scopes} chosen=${draft.scopes} onChange=${(scopes) => change({ scopes })} />
      <${Expiry} days=${draft.days} onChange=${(days) => change({ days })} mistake=${mistake("expires_in_days")} />
      <${Text} label=${t("account.allow_ips")} hint=${t("account.allow_ips_hint")} lines=${2} value=${draft.allow_ips} class="mono"
        onInput=${(allow_ips) => change({ allow_ips })} mistake=${mistake("allow_ips")} />
      <${Problem} failure=${unplaced(sending.failure, FIELDS)} />
    </${Drawer}>`;
}

/** `chosen` null is all that one may do, then and later. */
function Scopes({ chosen, onChange }) {
  const { self } = useSession();
  const given = self.permissions.filter((each) => each !== "public");
  const toggle = (scope, on) => onChange(on ? [...chosen, scope] : chosen.filter((each) => each !== scope));
  return html`
    <fieldset class="stack tight"><legend>${t("account.scopes")}</legend>
      <${Check} label=${t("account.scopes_all")} hint=${t("account.scopes_all_hint")} checked=${chosen === null}
        onChange=${(all) => onChange(all ? null : ["token.read"].filter((each) => given.includes(each)))} />
      ${chosen !== null && html`<div class="grid scopes">${given.map((scope) => html`
        <${Check} key=${scope} label=${scopeText(scope)} hint=${scope} checked=${chosen.includes(scope)}
          onChange=${(on) => toggle(scope, on)} />`)}</div>`}
    </fieldset>`;
}

function Expiry({ days, onChange, mistake }) {
  const options = [...DAYS.map((each) => [`${each}`, t("account.days", { count: each })]), ["0", t("never")]];
  const at = Date.now() / 1000 + days * 86_400;
  return html`<${Select} label=${t("account.expires")} value=${`${days}`} options=${options} mistake=${mistake}
    hint=${days ? t("account.expires_at", { at: dateTime(at), zone: zone() }) : t("account.expires_never_hint")}
    onChange=${(value) => onChange(Number(value))} />`;
}

const Made = ({ made, onClose }) => html`
  <${Drawer} title=${t("account.token_made")} keep onClose=${onClose}
    foot=${html`<${Button} tone="primary" onClick=${onClose}>${t("account.kept_it")}</${Button}>`}>
    <${Notice} tone="warn">${t("account.shown_once")}</${Notice}>
    <div class="field"><span class="label">${made.name}</span>
      <div class="row nowrap-row"><code class="secret break grow">${made.access_token}</code>
        <${Copy} text=${made.access_token} words size="" /></div></div>
    <p class="muted">${t("account.token_made_text")}</p>
  </${Drawer}>`;
