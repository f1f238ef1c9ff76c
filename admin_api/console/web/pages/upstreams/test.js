import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { duration } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { html, useState } from "../../core/view.js";
import { Button, Notice, Problem, Tag } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Field } from "../../ui/form.js";
import { here, pathOf } from "../../ui/entries.js";
import { Views } from "./views.js";

/** Calls an upstream with each of its keys, and shows what came of it. */
export function TestDrawer({ entry, onClose }) {
  const [model, setModel] = useState("");
  const [told, setTold] = useState(null);
  const { busy, failure, run } = useSending();
  const call = () => run(async () => {
    setTold(null);
    setTold(await api.post(`${pathOf("/api/upstream", entry.name)}/test`, model.trim() ? { model: model.trim() } : {}));
  });
  const foot = html`
    <${Button} onClick=${onClose}>${t("close")}</${Button}>
    <${Button} type="submit" tone="primary" icon="play" busy=${busy}>${t("upstreams.call")}</${Button}>`;
  return html`
    <${Drawer} title=${entry.name} onClose=${onClose} onSubmit=${call} foot=${foot}>
      <${Views} name=${entry.name} shown="test" />
      ${entry.broken && html`<${Notice} tone="bad">${t("entries.broken_text", { why: entry.broken })}</${Notice}>`}
      <p class="muted">${t("upstreams.test_text")}</p>
      <${ModelField} entry=${entry} value=${model} onInput=${setModel} mistake=${failure?.of?.("model")} />
      ${!failure?.of?.("model") && html`<${Problem} failure=${failure} />`}
      ${told && html`<${Told} told=${told} />`}
      ${told?.ok && html`<p><a href=${here({ test: "", offers: entry.name })}>${t("upstreams.see_offers")}</a></p>`}
    </${Drawer}>`;
}

function ModelField({ entry, value, onInput, mistake }) {
  const { data } = useAnswer((signal) => api.get("/api/model", { size: 100 }, { signal }), []);
  const named = data?.items.filter((each) => each.upstreams.includes(entry.name)).map((each) => each.name) ?? [];
  return html`
    <${Field} label=${t("upstreams.test_model")} hint=${t("upstreams.test_model_hint")} mistake=${mistake}>
      ${(attributes) => html`
        <input ...${attributes} list=${`${attributes.id}-models`} value=${value} autocomplete="off" spellcheck=${false}
          placeholder=${t("upstreams.test_list")} onInput=${(event) => onInput(event.target.value)} />
        <datalist id=${`${attributes.id}-models`}>${named.map((each) => html`<option value=${each} />`)}</datalist>`}
    </${Field}>`;
}

const Told = ({ told }) => html`
  <section class="stack tight" aria-live="polite">
    <${Notice} tone=${told.ok ? "good" : "bad"}>
      ${t(told.ok ? "upstreams.test_good" : "upstreams.test_bad")} <code>${told.called}</code></${Notice}>
    ${told.keys.map((each, n) => html`
      <div class="card tried" key=${n}>
        <div class="row spread">
          <code>${each.api_key ?? t("upstreams.no_key")}</code>
          <span class="row">
            <span class="muted tabular">${duration(each.latency_ms)}</span>
            <${Tag} tone=${each.ok ? "good" : "bad"}>${each.status ?? t("upstreams.no_answer")}</${Tag}>
          </span>
        </div>
        ${each.message && html`<p class="break small">${each.message}</p>`}
      </div>`)}
  </section>`;
