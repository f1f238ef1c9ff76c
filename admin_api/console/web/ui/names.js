// A field of several names: models, upstreams, groups, addresses. Chosen from a list, or typed.

import { t } from "../core/messages.js";
import { classes, html, useEffect, useId, useRef, useState } from "../core/view.js";
import { Field } from "./form.js";
import { Icon } from "./icons.js";

const SHOWN = 60;
const BETWEEN = /[\s,;]+/;

/**
 * `value` is a list of texts, `options` what can be chosen: texts, or [text, words].
 *
 * What is not in `options` may be typed, unless `only` is set. With `ordered` the order counts, and can be changed.
 * Names with spaces are kept whole where `spaces` is set. `onType(text)`, where given, finds the options.
 */
export function Names({ label, hint, mistake, value, options = [], onType, onChange, only, ordered, spaces, disabled, placeholder }) {
  const known = options.map((each) => (typeof each === "string" ? [each, ""] : each));
  const add = (text) => {
    const given = (spaces ? text.split(/[,;\n]+/) : text.split(BETWEEN)).map((each) => each.trim()).filter(Boolean);
    const wanted = only ? given.filter((each) => known.some(([name]) => name === each)) : given;
    if (wanted.length) onChange([...new Set([...value, ...wanted])]);
  };
  return html`
    <${Field} label=${label} hint=${hint} mistake=${mistake}>
      ${(attributes) => html`
        <div class=${classes("names", disabled && "off")}>
          <${Chosen} value=${value} onChange=${onChange} ordered=${ordered} disabled=${disabled} />
          ${!disabled && html`<${Finder} attributes=${attributes} known=${known.filter(([name]) => !value.includes(name))} add=${add}
            onType=${onType} placeholder=${placeholder} onBack=${() => value.length && onChange(value.slice(0, -1))} />`}
          ${disabled && value.length === 0 && html`<span class="muted">${placeholder ?? "–"}</span>`}
        </div>`}
    </${Field}>`;
}

function Chosen({ value, onChange, ordered, disabled }) {
  const before = (n) => value.map((each, m) => (m === n ? value[n - 1] : m === n - 1 ? value[n] : each));
  return value.map((name, n) => html`
    <span class="tag" key=${name}>
      ${ordered && n > 0 && !disabled && html`<button type="button" aria-label=${t("names.earlier", { name })}
        title=${t("names.earlier", { name })}
        onClick=${() => onChange(before(n))}><${Icon} name="left" /></button>`}
      <span class="break">${name}</span>
      ${!disabled && html`<button type="button" aria-label=${t("names.remove", { name })} title=${t("names.remove", { name })}
        onClick=${() => onChange(value.filter((each) => each !== name))}><${Icon} name="close" /></button>`}
    </span>`);
}

/** The field in which one types, with what fits below it. */
function Finder({ attributes, known, add, onType, placeholder, onBack }) {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const id = useId();
  const list = useRef();
  const found = known.filter(([name, words]) => `${name} ${words}`.toLowerCase().includes(text.trim().toLowerCase())).slice(0, SHOWN);
  const shown = open && found.length > 0;
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at]);
  const write = (given) => {
    setText(given);
    setAt(-1);
    onType?.(given.trim());
  };
  const take = (given) => {
    add(given);
    write("");
  };
  const typed = (event) => {
    write(event.target.value);
    setOpen(true);
  };
  const keys = {
    ArrowDown: () => { setOpen(true); setAt(Math.min(at + 1, found.length - 1)); },
    ArrowUp: () => setAt(Math.max(at - 1, -1)),
    Enter: () => take(shown && at >= 0 ? found[at][0] : text),
    ",": () => take(text),
  };
  const pressed = (event) => {
    if (event.isComposing) return;
    if (event.key === "Backspace" && text === "") onBack();
    if (event.key === "Escape" && shown) { event.preventDefault(); event.stopPropagation(); setOpen(false); }
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  };
  return html`
    <div class="finder">
      <input ...${attributes} role="combobox" aria-expanded=${shown ? "true" : "false"} aria-controls=${`${id}-list`}
        aria-autocomplete="list"
        aria-activedescendant=${shown && at >= 0 ? `${id}-${at}` : undefined} autocomplete="off"
        spellcheck=${false} placeholder=${placeholder} value=${text} onInput=${typed} onKeyDown=${pressed}
        onFocus=${() => setOpen(true)} onClick=${() => setOpen(true)} onBlur=${() => { take(text); setOpen(false); }} />
      <ul id=${`${id}-list`} role="listbox" aria-label=${t("names.found")} hidden=${!shown} ref=${list}>
        ${found.map(([name, words], n) => html`
          <li key=${name} id=${`${id}-${n}`} role="option" aria-selected=${n === at ? "true" : "false"}
            onMouseDown=${(event) => { event.preventDefault(); take(name); }}>
            ${name}${words && html` <span class="muted">${words}</span>`}
          </li>`)}
      </ul>
    </div>`;
}

/** A few names in a cell of a table; the rest is counted, and told on hover. */
export function Few({ names, most = 3, empty = "–" }) {
  if (names.length === 0) return html`<span class="muted">${empty}</span>`;
  const rest = names.slice(most);
  return html`<span class="row tight">
    ${names.slice(0, most).map((name) => html`<${FewTag} key=${name} name=${name} />`)}
    ${rest.length > 0 && html`<span class="muted small" title=${rest.join(", ")}>${t("names.more", { count: rest.length })}</span>`}
  </span>`;
}

const FewTag = ({ name }) => html`<span class="tag name">${name === "*" ? t("all") : name}</span>`;
