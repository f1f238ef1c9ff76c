// Making a webhook, whose secret is shown this once.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { html, useState } from "../../core/view.js";
import { Button, Snippet } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Text } from "../../ui/form.js";
import { FormProblem, ShownOnce } from "../people/parts.js";

const EVENT = `{
  "type": "warning.quota",
  "timestamp": "2026-11-26T12:00:00+00:00",
  "data": {
    "scope": "token", "token_id": 7, "token_name": "my app",
    "account_id": 1, "user_id": 1,
    "percent": 80, "used_usd": 8, "granted_usd": 10
  }
}`;

export function CreateWebhook({ onClose, onCreated }) {
  const [url, setUrl] = useState("");
  const [made, setMade] = useState(null);
  const { busy, failure, run } = useSending();
  const send = () => run(async () => {
    const webhook = await api.post("/api/webhook", { url: url.trim() });
    onCreated();
    setMade(webhook);
  });
  if (made) {
    return html`<${Drawer} title=${t("warnings.made")} onClose=${onClose} onSubmit=${onClose} keep
      foot=${html`<${Button} type="submit" tone="primary">${t("people.done")}</${Button}>`}>
      <p class="break">${made.url}</p>
      <${ShownOnce} text=${t("warnings.once_text")} label=${t("warnings.secret")} value=${made.secret} />
      <p class="muted">${t("warnings.secret_text")}</p>
    </${Drawer}>`;
  }
  return html`<${Drawer} title=${t("warnings.create")} onClose=${onClose} onSubmit=${send} keep=${url !== ""} foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy} disabled=${url.trim() === ""}>${t("create")}</${Button}>`}>
    <${Text} label=${t("warnings.url")} hint=${t("warnings.url_hint")} type="url" value=${url} onInput=${setUrl}
      mistake=${failure?.of?.("url")}
      placeholder="https://hooks.example.com/tollhouse" autocomplete="off" />
    <div class="field"><span class="label">${t("warnings.what_comes")}</span><${Snippet} text=${EVENT} /></div>
    <${FormProblem} failure=${failure} placed=${["url"]} />
  </${Drawer}>`;
}
