// A field of pairs of texts: headers with their values, our names of models with a provider's.

import { mistakeText, t } from "../core/messages.js";
import { html } from "../core/view.js";
import { Button } from "./basics.js";

/** `value` is a list of [left, right]; `left` and `right` say what stands there. */
export function Pairs({ label, hint, mistake, value, onChange, left, right, disabled }) {
  const change = (n, side, text) => onChange(value.map((pair, m) => (m === n ? pair.with(side, text) : pair)));
  return html`
    <fieldset class="field" disabled=${disabled}>
      <legend>${label}</legend>
      ${hint && html`<div class="hint">${hint}</div>`}
      ${value.map((pair, n) => html`
        <div class="pair" key=${n}>
          <input value=${pair[0]} placeholder=${left} aria-label=${`${left} ${n + 1}`} spellcheck=${false} autocomplete="off"
            onInput=${(event) => change(n, 0, event.target.value)} />
          <input value=${pair[1]} placeholder=${right} aria-label=${`${right} ${n + 1}`} spellcheck=${false} autocomplete="off"
            onInput=${(event) => change(n, 1, event.target.value)} />
          ${!disabled && html`<${Button} tone="quiet" icon="trash" label=${t("names.remove", { name: pair[0] || n + 1 })}
            onClick=${() => onChange(value.filter((_, m) => m !== n))} />`}
        </div>`)}
      ${mistake && html`<div class="wrong" role="alert">${typeof mistake === "string" ? mistake : mistakeText(mistake)}</div>`}
      ${!disabled && html`<div><${Button} size="small" icon="plus"
        onClick=${() => onChange([...value, ["", ""]])}>${t("add")}</${Button}></div>`}
    </fieldset>`;
}

/** Pairs as an object; those without a left side are not there. */
export const objectOf = (pairs) => Object.fromEntries(pairs.map(([left, right]) => [left.trim(), right.trim()]).filter(([left]) => left));
