import { has, t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Button, Notice } from "../../ui/basics.js";
import { Check, Field, Fold, Select, Text } from "../../ui/form.js";
import { Facts, useFound } from "../../ui/entries.js";
import { EntryDrawer, useEntryForm } from "../../ui/entry_form.js";
import { Names } from "../../ui/names.js";
import { Pairs } from "../../ui/pairs.js";
import { ADDRESSES, BREAKER, PATIENCE, TRAFFIC, bodyOf, draftOf } from "./fields.js";
import { Views } from "./views.js";

const DIALECTS = ["openai", "anthropic", "gemini"];
const UNITS = { max_line_bytes: "entries.bytes" };

/** Makes an upstream, or changes `entry`. */
export function UpstreamDrawer({ entry, onClose, onSaved }) {
  const form = useEntryForm({ path: "/api/upstream", entry, draftOf, bodyOf, onSaved });
  const title = entry ? entry.name : t("upstreams.add");
  return html`
    <${EntryDrawer} form=${form} title=${title} where="[[upstreams]]" onClose=${onClose}
      head=${entry && html`<${Views} name=${entry.name} shown="edit" />`}>
      ${!entry && html`<${Text} hint=${t("upstreams.name_hint")} required ...${form.field("name", t("upstreams.name"))} />`}
      <${Address} form=${form} />
      <${KeyField} form=${form} />
      <${Served} form=${form} />
      <${Share} form=${form} />
      <${Reach} form=${form} />
      <${Numbers} form=${form} names=${PATIENCE} title=${t("upstreams.patience")} />
      <${Numbers} form=${form} names=${BREAKER} title=${t("upstreams.breaker")} text=${t("upstreams.breaker_text")} />
      <${Traffic} form=${form} />
      ${entry?.file_only && html`<${FileOnly} told=${entry.file_only} />`}
    </${EntryDrawer}>`;
}

function Address({ form }) {
  const { draft, set, of, readOnly } = form;
  const write = (base_url) => {
    const known = ADDRESSES.find(([url]) => url === base_url);
    set(known ? { base_url, dialect: known[2] } : { base_url });
  };
  return html`
    <${Field} label=${t("upstreams.base_url")} hint=${t("upstreams.base_url_hint")} mistake=${of("base_url")}>
      ${(attributes) => html`
        <input ...${attributes} type="url" list=${`${attributes.id}-known`} value=${draft.base_url} disabled=${readOnly} autocomplete="off"
          placeholder="https://api.openai.com/v1" onInput=${(event) => write(event.target.value)} required />
        <datalist id=${`${attributes.id}-known`}>${ADDRESSES.map(([url, name]) => html`<option value=${url}>${name}</option>`)}</datalist>`}
    </${Field}>
    <${Select} label=${t("upstreams.dialect")} value=${draft.dialect} mistake=${of("dialect")} disabled=${readOnly}
      options=${DIALECTS.map((each) => [each, t(`upstreams.dialect.${each}`)])} onChange=${(dialect) => set({ dialect })} />`;
}

/** Keys are written, never read: what is there is shown by its end. */
function KeyField({ form }) {
  const { draft, set, of, entry, readOnly } = form;
  const shown = entry?.api_keys.length ? html`<code>${entry.api_keys.join(", ")}</code>`
    : html`<span class="muted">${t("upstreams.no_key")}</span>`;
  if (draft.api_keys === null) {
    return html`
      <div class="field"><span class="label">${t("upstreams.keys")}</span>
        <div class="row">${shown}
          ${!readOnly && html`<${Button} size="small" icon="rotate"
            onClick=${() => set({ api_keys: "" })}>${t("upstreams.replace_keys")}</${Button}>`}</div>
        ${of("api_key") && html`<${Notice} tone="bad" live>${t("upstreams.key_again")}</${Notice}>`}
      </div>`;
  }
  return html`
    <${Text} label=${t("upstreams.keys")} lines=${2} value=${draft.api_keys} spellcheck=${false} autocomplete="off" class="mono"
      hint=${t(entry ? "upstreams.replace_hint" : "upstreams.keys_hint")} mistake=${of("api_keys") ?? of("api_key")}
      onInput=${(api_keys) => set({ api_keys })} />
    ${entry && html`<div><${Button} size="small" onClick=${() => set({ api_keys: null })}>${t("upstreams.keep_keys")}</${Button}></div>`}`;
}

function Served({ form }) {
  const { draft, set, of, list, readOnly } = form;
  const { options, onType } = useFound("/api/model");
  return html`
    ${draft.mapped
      ? html`<${Pairs} label=${t("upstreams.models")} hint=${t("upstreams.mapped_hint")} value=${draft.pairs} mistake=${of("models")}
          left=${t("upstreams.our_name")} right=${t("upstreams.their_name")} disabled=${readOnly} onChange=${(pairs) => set({ pairs })} />`
      : html`<${Names} ...${list("names", t("upstreams.models"))} mistake=${of("models")} hint=${t("upstreams.models_hint")}
          options=${options} onType=${onType} />`}
    <${Check} label=${t("upstreams.mapped")} checked=${draft.mapped} disabled=${readOnly}
      onChange=${(mapped) => set({ mapped, pairs: draft.pairs.length ? draft.pairs : pairsOf(draft.names) })} />`;
}

/** Patterns have no name at the provider's. */
const pairsOf = (names) => names.filter((each) => !each.includes("*")).map((each) => [each, each]);

const Share = ({ form }) => html`
  <div class="grid">
    <${Text} hint=${t("upstreams.priority_hint")} inputmode="numeric" placeholder=${t("entries.default")}
      ...${form.field("priority", t("upstreams.priority"))} />
    <${Text} hint=${t("upstreams.weight_hint")} inputmode="numeric" placeholder=${t("entries.default")}
      ...${form.field("weight", t("upstreams.weight"))} />
  </div>`;

const Reach = ({ form, form: { draft, set, of, list, readOnly } }) => html`
  <${Fold} title=${t("upstreams.reach")}
    open=${Boolean(draft.allow_cidrs.length || draft.headers.length || of("allow_cidrs") || of("headers") || of("azure_api_version"))}>
    <${Names} ...${list("allow_cidrs", t("upstreams.allow_cidrs"))} hint=${t("upstreams.allow_cidrs_hint")} placeholder="10.0.0.0/8" />
    ${draft.dialect === "openai" && html`
      <${Text} ...${form.field("azure_api_version", t("upstreams.azure_api_version"))} hint=${t("upstreams.azure_api_version_hint")}
        placeholder="2024-10-21" />`}
    <${Pairs} label=${t("upstreams.headers")} hint=${t("upstreams.headers_hint")} value=${draft.headers} mistake=${of("headers")}
      left=${t("upstreams.header")} right=${t("upstreams.header_value")} disabled=${readOnly} onChange=${(headers) => set({ headers })} />
  </${Fold}>`;

const Numbers = ({ form, names, title, text }) => html`
  <${Fold} title=${title} open=${names.some(form.of)}>
    ${text && html`<p class="muted small">${text}</p>`}
    <div class="grid">${names.map((name) => html`<${NumberField} key=${name} form=${form} name=${name} />`)}</div>
  </${Fold}>`;

const NumberField = ({ form, name }) => html`
  <${Text} ...${form.field(name, t(`upstreams.${name}`))} hint=${has(`upstreams.${name}_hint`) ? t(`upstreams.${name}_hint`) : undefined}
    inputmode="decimal"
    unit=${name.endsWith("_s") ? t("entries.seconds") : UNITS[name] && t(UNITS[name])} placeholder=${t("entries.default")} />`;

const Traffic = ({ form }) => html`
  <${Fold} title=${t("upstreams.traffic")} open=${[...TRAFFIC, "on_disconnect", "leave_out", "form"].some(form.of)}>
    <${Check} label=${t("upstreams.affinity")} hint=${t("upstreams.affinity_hint")} checked=${form.draft.affinity} disabled=${form.readOnly}
      onChange=${(affinity) => form.set({ affinity })} />
    <${Check} label=${t("upstreams.retry_unanswered")} hint=${t("upstreams.retry_unanswered_hint")} checked=${form.draft.retry_unanswered}
      disabled=${form.readOnly} onChange=${(retry_unanswered) => form.set({ retry_unanswered })} />
    <${Check} label=${t("upstreams.translate")} hint=${t("upstreams.translate_hint")} checked=${form.draft.translate}
      disabled=${form.readOnly} onChange=${(translate) => form.set({ translate })} />
    <${Names} ...${form.list("leave_out", t("upstreams.leave_out"))} hint=${t("upstreams.leave_out_hint")} placeholder="seed" />
    ${form.draft.dialect === "openai" && html`
      <${Select} label=${t("upstreams.form")} hint=${t("upstreams.form_hint")} value=${form.draft.form} disabled=${form.readOnly}
        mistake=${form.of("form")} options=${["chats", "responses"].map((each) => [each, t(`upstreams.form.${each}`)])}
        onChange=${(value) => form.set({ form: value })} />`}
    <${Select} label=${t("upstreams.on_disconnect")} value=${form.draft.on_disconnect} disabled=${form.readOnly}
      mistake=${form.of("on_disconnect")}
      options=${["abort", "drain"].map((each) => [each, t(`upstreams.on_disconnect.${each}`)])}
      onChange=${(on_disconnect) => form.set({ on_disconnect })} />
    <div class="grid">${TRAFFIC.map((name) => html`<${NumberField} key=${name} form=${form} name=${name} />`)}</div>
  </${Fold}>`;

const FileOnly = ({ told }) => html`
  <${Fold} title=${t("upstreams.file_only")}>
    <${Facts} rows=${Object.entries(told).filter(([, value]) => value.length).map(([name, value]) => [
      html`<code>${name}</code>`, html`<code>${Array.isArray(value) ? value.join(", ") : value}</code>`,
    ])} />
  </${Fold}>`;
