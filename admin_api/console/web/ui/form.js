// Fields of forms: a label, a hint, and what is wrong with what was given.

import { mistakeText } from "../core/messages.js";
import { Icon } from "./icons.js";
import { html, useId } from "../core/view.js";

/**
 * A labelled field. `children(attributes)` makes the control with them.
 *
 * `mistake` is that of the field in a failure (`failure.of("name")`), or a text.
 */
export function Field({ label, hint, mistake, children }) {
  const id = useId();
  const wrong = typeof mistake === "string" ? mistake : mistake && mistakeText(mistake);
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return html`
    <div class="field">
      <label for=${id}>${label}</label>
      ${children({ id, "aria-describedby": described || undefined, "aria-invalid": wrong ? "true" : undefined })}
      ${hint && html`<div class="hint" id=${`${id}-hint`}>${hint}</div>`}
      ${wrong && html`<div class="wrong" id=${`${id}-wrong`} role="alert">${wrong}</div>`}
    </div>`;
}

/** A field of text: `value`, `onInput(text)`; `lines` makes it a large one. */
export const Text = ({ label, hint, mistake, value, onInput, lines, unit, ...rest }) => html`
  <${Field} label=${label} hint=${hint} mistake=${mistake}>
    ${(attributes) => {
      const given = { ...attributes, ...rest, value, onInput: (event) => onInput(event.target.value) };
      if (lines) return html`<textarea rows=${lines} ...${given}></textarea>`;
      return unit ? html`<div class="with-unit"><input ...${given} /><span>${unit}</span></div>` : html`<input ...${given} />`;
    }}
  </${Field}>`;

/** A field of choices: `options` are [value, words]. */
export const Select = ({ label, hint, mistake, value, options, onChange, ...rest }) => html`
  <${Field} label=${label} hint=${hint} mistake=${mistake}>
    ${(attributes) => html`
      <select ...${attributes} ...${rest} value=${value} onChange=${(event) => onChange(event.target.value)}>
        ${options.map(([each, words]) => html`<option key=${each} value=${each} selected=${each === value}>${words}</option>`)}
      </select>`}
  </${Field}>`;

/** A choice without a label that is seen, for filters. */
export const Filter = ({ label, value, options, onChange }) => html`
  <select aria-label=${label} value=${value} onChange=${(event) => onChange(event.target.value)}>
    ${options.map(([each, words]) => html`<option key=${each} value=${each} selected=${each === value}>${words}</option>`)}
  </select>`;

/** A search field without a label that is seen. */
export const Search = ({ label, value, onInput }) => html`
  <input type="search" aria-label=${label} placeholder=${label} value=${value} onInput=${(event) => onInput(event.target.value)} />`;

export function Check({ label, hint, checked, onChange, disabled }) {
  const id = useId();
  return html`
    <div class="check">
      <input type="checkbox" id=${id} checked=${checked} disabled=${disabled} aria-describedby=${hint ? `${id}-hint` : undefined}
        onChange=${(event) => onChange(event.target.checked)} />
      <div><label for=${id}>${label}</label>${hint && html`<div class="muted small" id=${`${id}-hint`}>${hint}</div>`}</div>
    </div>`;
}

/** A part of a form that is folded until somebody wants it. */
export const Fold = ({ title, open, children }) => html`
  <details class="fold" open=${open}><summary><h3>${title}</h3><${Icon} name="down" /></summary><div class="stack">${children}</div></details>`;
