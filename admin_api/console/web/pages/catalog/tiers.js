import { mistakeText, t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Button } from "../../ui/basics.js";
import { Field, Fold } from "../../ui/form.js";
import { MAIN, OTHERS } from "./prices.js";

const FIELDS = ["above_input_tokens", ...[...MAIN, ...OTHERS].map((kind) => `${kind}_usd_per_mtok`)];
const SIMPLE = 4;

/** Prices of calls with long input: each is whole. */
export function Tiers({ form: { draft, set, of, failure, readOnly } }) {
  const { tiers } = draft;
  const change = (n, name, text) => set({ tiers: tiers.map((each, m) => (m === n ? { ...each, [name]: text } : each)) });
  return html`
    <${Fold} title=${t("catalog.tiers")} open=${Boolean(tiers.length || of("tiers"))}>
      <p class="muted small">${t("catalog.tiers_text")}</p>
      ${tiers.map((tier, n) => html`
        <div class="limit" key=${n} role="group" aria-label=${t("catalog.tier", { place: n + 1 })}>
          <div class="row spread"><strong>${t("catalog.tier", { place: n + 1 })}</strong>
            ${!readOnly && html`<${Button} tone="quiet" size="small" icon="trash" label=${t("catalog.tier_remove", { place: n + 1 })}
              onClick=${() => set({ tiers: tiers.filter((_, m) => m !== n) })} />`}</div>
          <div class="grid narrow">${shown(tier).map((name) => html`
            <${TierField} key=${name} name=${name} value=${tier[name] ?? ""} disabled=${readOnly} onInput=${(text) => change(n, name, text)}
              mistake=${failure?.errors?.find((each) => each.field === `tiers.${n}.${name}`)} />`)}</div>
          ${shown(tier).length < FIELDS.length && !readOnly && html`
            <div><${Button} size="small" tone="quiet"
              onClick=${() => set({ tiers: tiers.map((each, m) => (m === n ? { ...each, ...all(each) } : each)) })}>
              ${t("catalog.other_prices")}</${Button}></div>`}
        </div>`)}
      ${of("tiers") && html`<div class="wrong" role="alert">${mistakeText(of("tiers"))}</div>`}
      ${!readOnly && html`<div><${Button} size="small" icon="plus"
        onClick=${() => set({ tiers: [...tiers, { above_input_tokens: "" }] })}>${t("catalog.tier_add")}</${Button}></div>`}
    </${Fold}>`;
}

const shown = (tier) => FIELDS.filter((name, n) => n < SIMPLE || tier[name] !== undefined);
const all = (tier) => Object.fromEntries(FIELDS.map((name) => [name, tier[name] ?? ""]));

const TierField = ({ name, value, onInput, mistake, disabled }) => html`
  <${Field} label=${name === "above_input_tokens" ? t("catalog.above") : t(`catalog.kind.${name.replace("_usd_per_mtok", "")}`)}
    mistake=${mistake}>
    ${(attributes) => html`
      <div class="with-unit">
        <input ...${attributes} inputmode="decimal" value=${value} disabled=${disabled} autocomplete="off"
          onInput=${(event) => onInput(event.target.value)} />
        <span>${t(name === "above_input_tokens" ? "entries.tokens" : "entries.usd")}</span>
      </div>`}
  </${Field}>`;
