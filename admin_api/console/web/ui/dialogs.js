// What opens above the page: drawers, questions, and short words at the edge.

import { sentenceOf, t } from "../core/messages.js";
import { html, useEffect, useRef, useState } from "../core/view.js";
import { Button, Problem } from "./basics.js";
import { useSending } from "../core/answers.js";

function useModal() {
  const dialog = useRef();
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    raise();
    return () => before?.isConnected && before.focus();
  }, []);
  return dialog;
}

/**
 * A panel at the side, with a form where `onSubmit` is given. `foot` stands below, what scrolls is between.
 *
 * With `keep` a click beside it closes nothing: what was written, or a key that is shown once, would be lost.
 */
export function Drawer({ title, onClose, onSubmit, foot, keep, children }) {
  const dialog = useModal();
  const inside = html`
    <div class="dialog-head"><h2>${title}</h2><${Button} tone="quiet" icon="close" label=${t("close")} onClick=${onClose} /></div>
    <div class="dialog-body stack">${children}</div>
    ${foot && html`<div class="dialog-foot">${foot}</div>`}`;
  const submit = (event) => {
    event.preventDefault();
    onSubmit();
  };
  return html`
    <dialog class="drawer" ref=${dialog} aria-label=${title} onCancel=${(event) => { event.preventDefault(); onClose(); }}
      onClick=${(event) => !keep && event.target === dialog.current && onClose()}>
      ${onSubmit ? html`<form onSubmit=${submit} novalidate>${inside}</form>` : html`<div class="inside">${inside}</div>`}
    </dialog>`;
}

/**
 * A question before something that cannot be undone. `act` is sent on "yes", and what goes wrong is told here.
 *
 * `typed`, where given, has to be typed first.
 */
export function Question({ title, action, act, danger = true, typed, onClose, children }) {
  const dialog = useModal();
  const { busy, failure, run } = useSending();
  const [given, setGiven] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    if (await run(act)) onClose();
  };
  return html`
    <dialog class="question" ref=${dialog} aria-label=${title} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
      <form onSubmit=${submit}>
        <div class="dialog-head"><h2>${title}</h2></div>
        <div class="dialog-body stack">
          ${children}
          ${typed && html`<label class="field">${t("type_to_confirm", { text: typed })}
            <input value=${given} onInput=${(event) => setGiven(event.target.value)} autocomplete="off" /></label>`}
          <${Problem} failure=${failure} />
        </div>
        <div class="dialog-foot">
          <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
          <${Button} type="submit" tone=${danger ? "danger primary" : "primary"} busy=${busy} disabled=${typed && given !== typed}>${action}</${Button}>
        </div>
      </form>
    </dialog>`;
}

let show = () => {};
let raise = () => {};

/** Says something for some seconds. `undo` is {text, act}. A failure may stand for the text. */
export function tell(text, undo) {
  show(typeof text === "string" ? text : sentenceOf(text), undo);
}

const SHOWN_MS = 6000;

/** Where short words appear: one for the page. */
export function Toasts() {
  const [told, setTold] = useState([]);
  const place = useRef();
  show = (text, undo) => {
    const one = { text, undo, id: crypto.getRandomValues(new Uint32Array(1))[0] };
    setTold((before) => [...before.slice(-2), one]);
    setTimeout(() => setTold((before) => before.filter((each) => each !== one)), SHOWN_MS);
  };
  // Above dialogs, which are above everything else: what was shown last lies on top.
  raise = () => {
    if (!told.length || !place.current?.showPopover) return;
    place.current.hidePopover();
    place.current.showPopover();
  };
  useEffect(raise, [told]);
  return html`
    <div class="toasts" popover="manual" ref=${place} role="status" aria-live="polite">
      ${told.map(({ id, text, undo }) => html`
        <div class="toast" key=${id}><span>${text}</span>
          ${undo && html`<button type="button" onClick=${() => { setTold((all) => all.filter((each) => each.id !== id)); undo.act(); }}>${undo.text}</button>`}
        </div>`)}
    </div>`;
}
