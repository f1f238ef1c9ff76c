// A choice of one among many that the server finds by what is typed: users, keys.

import { api } from "../core/api.js";
import { useAnswer, useSettled } from "../core/answers.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useEffect, useId, useRef, useState } from "../core/view.js";
import { Icon } from "./icons.js";

const SHOWN = 20;

/**
 * The chosen `value` is told by its words; typing looks for others.
 *
 * `fixed` are [value, words] that there are whatever is typed, the first what nothing chosen means. `find(keyword, signal)`
 * promises [value, words, note] of what fits, `name(value, signal)` the words of one that was not found here.
 */
export function Sought({ label, value, fixed, find, name, onChange }) {
  const [typed, setTyped] = useState(null);
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const keyword = useSettled((typed ?? "").trim());
  const answer = useAnswer(async (signal) => ({ keyword, found: open ? await find(keyword, signal) : [] }), [open, keyword]);
  const { keyword: asked, found = [] } = answer.data ?? {};
  const words = useWords({ value, fixed, found, name });
  const id = useId();
  const list = useRef();
  // Until the server has heard what is typed by now, what it found before is narrowed here.
  const heard = asked === (typed ?? "").trim() && !answer.loading;
  const near = heard ? found : found.filter(([, each, note]) => fits(`${each} ${note}`, typed));
  const options = [...fixed.filter(([, each]) => fits(each, typed)), ...near];
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at]);
  const show = () => { setOpen(true); setAt(-1); };
  const close = () => { setOpen(false); setTyped(null); setAt(-1); };
  const take = ([chosen]) => { close(); if (chosen !== value) onChange(chosen); };
  const move = (by) => { setOpen(true); setAt((before) => Math.max(-1, Math.min(before + by, options.length - 1))); };
  const pressed = (event) => {
    if (event.isComposing) return;
    const does = {
      ArrowDown: () => move(1), ArrowUp: () => move(-1),
      Enter: open && at >= 0 ? () => take(options[at]) : undefined, Escape: open ? close : undefined,
    }[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  };
  return html`
    <div class="sought">
      <input role="combobox" aria-label=${label} aria-autocomplete="list" aria-expanded=${open ? "true" : "false"}
        aria-controls=${`${id}-list`} aria-activedescendant=${open && at >= 0 ? `${id}-${at}` : undefined} autocomplete="off"
        autocapitalize="none" spellcheck=${false} placeholder=${t("sought.hint")} value=${typed ?? words} onKeyDown=${pressed}
        onInput=${(event) => { setTyped(event.target.value); show(); }} onFocus=${(event) => { event.target.select(); show(); }}
        onClick=${() => setOpen(true)} onBlur=${close} />
      <${Icon} name="down" />
      <ul id=${`${id}-list`} role="listbox" aria-label=${t("names.found")} hidden=${!open} ref=${list}>
        ${options.map(([each, text, note], n) => html`
          <li key=${each} id=${`${id}-${n}`} role="option" aria-selected=${n === at ? "true" : "false"}
            onMouseDown=${(event) => { event.preventDefault(); take([each]); }}>
            ${text}${note && html` <span class="muted">${note}</span>`}
            ${each === value && html`<${Icon} name="done" />`}
          </li>`)}
        ${open && options.length === 0 && heard && html`
          <li role="option" aria-disabled="true" aria-selected="false" class="muted">${t("sought.none")}</li>`}
      </ul>
      <span class="only-read" role="status">${open && typed && heard ? t("sought.found", { count: options.length }) : ""}</span>
    </div>`;
}

const fits = (words, typed) => words.toLowerCase().includes((typed ?? "").trim().toLowerCase());

/** What the chosen one is called: as it was found, or else asked for. */
function useWords({ value, fixed, found, name }) {
  const known = useRef(new Map());
  for (const [each, words] of [...fixed, ...found]) known.current.set(each, words);
  const asked = useAnswer(async (signal) => (known.current.has(value) ? null : name(value, signal).catch(() => value)), [value]);
  return known.current.get(value) ?? asked.data ?? value;
}

/** Whose: `fixed` choices, and each user for those who may see users. */
export function Whose({ label, value, fixed, onChange }) {
  const { may, self } = useSession();
  const find = async (keyword, signal) => {
    if (!may("user.read")) return [];
    const { items } = await api.get("/api/user", { keyword, page_size: SHOWN }, { signal });
    return items.map(({ id, username, display_name: named }) => [String(id), username, named === username ? "" : named]);
  };
  const name = async (id, signal) => (String(self.id) === id ? self.username : (await api.get(`/api/user/${id}`, {}, { signal })).username);
  return html`<${Sought} label=${label} value=${value} fixed=${fixed} find=${find} name=${name} onChange=${onChange} />`;
}

/** One of somebody's keys; those that were used last come first. */
export function Key({ label, value, fixed, owner, onChange }) {
  const told = ({ id, name, key }) => [String(id), name, `…${key.slice(-4)}`];
  const find = async (keyword, signal) => {
    const asked = { keyword, user_id: owner, sort: "accessed_time", size: SHOWN };
    return (await api.get("/api/token", asked, { signal })).items.map(told);
  };
  const name = async (id, signal) => (await api.get(`/api/token/${id}`, {}, { signal })).name;
  return html`<${Sought} label=${label} value=${value} fixed=${fixed} find=${find} name=${name} onChange=${onChange} />`;
}
