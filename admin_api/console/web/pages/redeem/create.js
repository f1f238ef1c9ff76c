// Making codes, which are shown this once: to copy, or as a file.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { date, usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { html, useState } from "../../core/view.js";
import { Button, Copy, Notice } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Text } from "../../ui/form.js";
import { sentAmount } from "../accounts/parts.js";
import { FormProblem } from "../people/parts.js";

const PLACED = ["count", "amount_usd", "expires_in_days", "note", "prefix"];

export function CreateCodes({ onClose, onCreated }) {
  const [draft, setDraft] = useState({ count: "10", amount_usd: "5", expires_in_days: "90", note: "", prefix: "" });
  const [key, setKey] = useState(once);
  const [made, setMade] = useState(null);
  const { busy, failure, run } = useSending();
  const given = (name) => ({
    value: draft[name], mistake: failure?.of?.(name),
    onInput: (text) => { setDraft((before) => ({ ...before, [name]: text })); setKey(once()); },
  });
  const send = () => run(async () => {
    const { count, amount_usd, expires_in_days, note, prefix } = draft;
    const body = { count: sentAmount(count), amount_usd: sentAmount(amount_usd), note, prefix };
    if (expires_in_days.trim() !== "") body.expires_in_days = sentAmount(expires_in_days);
    const batch = await api.post("/api/redeem", body, { once: key });
    onCreated();
    setMade(batch);
  });
  if (made) return html`<${Made} batch=${made} onClose=${onClose} />`;
  const total = Number(draft.count) * Number(draft.amount_usd);
  return html`<${Drawer} title=${t("redeem.create")} onClose=${onClose} onSubmit=${send} keep foot=${html`
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${busy}>${t("create")}</${Button}>`}>
    <div class="grid halves">
      <${Text} label=${t("redeem.count")} hint=${t("redeem.count_hint")} inputmode="numeric" ...${given("count")} />
      <${Text} label=${t("redeem.each")} unit="USD" inputmode="decimal" hint=${total > 0 && t("redeem.total", { total: usd(total) })}
        ...${given("amount_usd")} />
    </div>
    <${Text} label=${t("redeem.expires_in")} hint=${t("redeem.expires_hint")} unit=${t("redeem.days")} inputmode="numeric"
      ...${given("expires_in_days")} />
    <${Text} label=${t("redeem.note")} hint=${t("redeem.note_hint")} maxlength="200" ...${given("note")} />
    <${Text} label=${t("redeem.prefix")} hint=${t("redeem.prefix_hint")} autocomplete="off" ...${given("prefix")} />
    <${FormProblem} failure=${failure} placed=${PLACED} />
  </${Drawer}>`;
}

function Made({ batch, onClose }) {
  const text = batch.codes.join("\n");
  return html`<${Drawer} title=${t("redeem.made", { count: batch.codes.length })} onClose=${onClose} onSubmit=${onClose} keep
    foot=${html`<${Button} type="submit" tone="primary">${t("redeem.done")}</${Button}>`}>
    <${Notice} tone="warn">${t("redeem.once_text")}</${Notice}>
    <p class="muted">${t("redeem.made_text", { id: batch.batch_id, amount: usd(batch.amount_usd) })}
      ${" "}${batch.expired_time < 0 ? t("redeem.no_end") : t("redeem.until", { date: date(batch.expired_time) })}</p>
    <div class="row"><${Copy} text=${text} words label=${t("redeem.copy_all")} size="" />
      <${Button} icon="download" onClick=${() => save(`codes-${batch.batch_id}.txt`, `${text}\n`)}>${t("redeem.download")}</${Button}></div>
    <pre class="code" tabindex="0" aria-label=${t("redeem.codes")}>${text}</pre>
  </${Drawer}>`;
}

/** Hands a text to the browser as a file. */
function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
