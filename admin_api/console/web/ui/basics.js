// Small parts that every page uses.

import { dateTime, relative } from "../core/format.js";
import { sentenceOf, t } from "../core/messages.js";
import { classes, html, useEffect, useRef, useState } from "../core/view.js";
import { Icon } from "./icons.js";

/** The head of a page, which takes the focus when the page is opened, and what stands below it. */
export function Page({ title, text, actions, children }) {
  const head = useRef();
  useEffect(() => {
    document.title = `${title} · Tollhouse`;
    head.current.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [title]);
  return html`
    <div class="page-head">
      <div><h1 tabindex="-1" ref=${head}>${title}</h1>${text && html`<p>${text}</p>`}</div>
      ${actions && html`<div class="row">${actions}</div>`}
    </div>
    ${children}`;
}

/** A button: `tone` primary, danger or quiet; `icon` with or without words (then `label` says what it does). */
export function Button({ tone, icon, label, size, busy, disabled, children, type = "button", class: more, ...rest }) {
  return html`
    <button type=${type} class=${classes("button", tone, size, !children && "icon", more)} aria-label=${label} title=${label}
      disabled=${disabled || busy} aria-busy=${busy ? "true" : undefined} ...${rest}>
      ${icon && html`<${Icon} name=${icon} />`}${children}
    </button>`;
}

export const Tag = ({ tone, children }) => html`<span class=${classes("tag", tone)}>${children}</span>`;

const TONE_ICONS = { good: "done", warn: "warning", bad: "warning" };

/** A box that tells something. `live` ones are read out when they appear. */
export const Notice = ({ tone, live, children }) => html`
  <div class=${classes("notice", tone)} role=${live ? (tone === "bad" ? "alert" : "status") : undefined}>
    <${Icon} name=${TONE_ICONS[tone] ?? "info"} /><div>${children}</div>
  </div>`;

/** What went wrong, and, where it may help, a button that tries again. */
export const Problem = ({ failure, retry }) => failure && html`
  <${Notice} tone="bad" live>
    ${sentenceOf(failure)}
    ${retry && html` <${Button} size="small" onClick=${retry}>${t("try_again")}</${Button}>`}
  </${Notice}>`;

export const Empty = ({ icon = "search", title, text, children }) => html`
  <div class="empty"><${Icon} name=${icon} /><h2>${title}</h2>${text && html`<p>${text}</p>`}${children}</div>`;

/** Grey lines where something is to come. */
export const Loading = ({ lines = 4 }) => html`
  <div class="stack tight" role="status" aria-label=${t("loading")}>
    ${Array.from({ length: lines }, (_, n) => html`<div class="skeleton" style=${{ width: `${92 - ((n * 17) % 40)}%` }}></div>`)}
  </div>`;

/** Either what `answer` (of `useAnswer`) has, made by `children(data)`, or that it comes, or why it does not. */
export function Answered({ answer, lines, children }) {
  if (answer.data === undefined) {
    return answer.failure
      ? html`<${Problem} failure=${answer.failure} retry=${answer.reload} />`
      : html`<${Loading} lines=${lines} />`;
  }
  return html`
    ${answer.failure && html`<${Problem} failure=${answer.failure} retry=${answer.reload} />`}
    ${children(answer.data)}`;
}

/** A time as one speaks of it, the exact one on hover. `at` in Unix seconds. */
export const When = ({ at }) => html`
  <time datetime=${new Date(at * 1000).toISOString()} title=${dateTime(at)} class="nowrap">${relative(at)}</time>`;

/** Copies `text`; says so for a moment. */
export function Copy({ text, label = t("copy"), words = false, size = "small" }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await putInClipboard(text);
    setDone(true);
    setTimeout(() => setDone(false), 1600);
  };
  const shown = done ? t("copied") : label;
  return html`
    <${Button} size=${size} tone=${words ? undefined : "quiet"} icon=${done ? "done" : "copy"} label=${shown} onClick=${copy}>
      ${words && shown}
    </${Button}>
    <span class="only-read" role="status">${done && t("copied")}</span>`;
}

async function putInClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Browsers have no clipboard for pages that came over plain http from another machine.
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  document.execCommand("copy");
  return area.remove();
}

/** Code with a button that copies it. */
export const Snippet = ({ text }) => html`
  <div class="snippet"><pre class="code" tabindex="0"><code>${text}</code></pre><${Copy} text=${text} /></div>`;

/** One of a few: `options` are [value, words]; many `wrap` into several lines. */
export const Segments = ({ label, value, options, onChange, wrap }) => html`
  <div class=${classes("segments", wrap && "wrap")} role="group" aria-label=${label}>
    ${options.map(([each, words]) => html`
      <button type="button" key=${each} aria-pressed=${each === value ? "true" : "false"} onClick=${() => onChange(each)}>${words}</button>`)}
  </div>`;

const APART = 4;

/** Puts an opened list below its button, or above it where there is more room; over everything that would cut it off. */
function place(menu, above) {
  const [button, list] = [menu.firstElementChild, menu.lastElementChild];
  list.showPopover?.();
  const [at, size] = [button.getBoundingClientRect(), list.getBoundingClientRect()];
  const over = above || (at.bottom + APART + size.height > innerHeight && at.top > innerHeight - at.bottom);
  list.style.top = `${Math.max(APART, over ? at.top - APART - size.height : at.bottom + APART)}px`;
  list.style.left = `${Math.max(APART, Math.min(above ? at.left : at.right - size.width, innerWidth - APART - size.width))}px`;
}

/** A button that opens a list of things to do: `items` are {icon, text, act | href, danger}; falsy ones are left out. */
export function Menu({ label, icon = "more", above, children, items }) {
  const menu = useRef();
  useEffect(() => {
    const close = (event) => {
      if (!menu.current?.open) return;
      const outside = event.type === "keydown" ? event.key === "Escape" : !menu.current.contains(event.target);
      if (!outside) return;
      menu.current.open = false;
      if (event.type === "keydown") menu.current.firstElementChild.focus();
    };
    // What is scrolled would leave its list behind. (The menu may be gone: what ends an effect comes after the next picture.)
    const leave = (event) => {
      if (menu.current?.open && (event.target === window || !menu.current.contains(event.target))) menu.current.open = false;
    };
    addEventListener("click", close);
    addEventListener("keydown", close);
    addEventListener("scroll", leave, true);
    addEventListener("resize", leave);
    return () => {
      removeEventListener("click", close);
      removeEventListener("keydown", close);
      removeEventListener("scroll", leave, true);
      removeEventListener("resize", leave);
    };
  }, []);
  const toggled = () => (menu.current.open ? place(menu.current, above) : menu.current.lastElementChild.hidePopover?.());
  const chosen = (item) => () => {
    menu.current.open = false;
    menu.current.firstElementChild.focus(); // where what it opens gives the focus back
    item.act?.();
  };
  return html`
    <details class="menu" ref=${menu} onToggle=${toggled}>
      <summary class=${classes("button", "quiet", !children && "icon small")} aria-label=${label} title=${label} role="button">
        ${children ?? html`<${Icon} name=${icon} />`}
      </summary>
      <ul popover="manual">
        ${items.filter(Boolean).map((item) => html`<li key=${item.text}>
          ${item.href
            ? html`<a href=${item.href} onClick=${chosen(item)}><${Icon} name=${item.icon} />${item.text}</a>`
            : html`<button type="button" class=${item.danger ? "danger" : ""} onClick=${chosen(item)}><${Icon} name=${item.icon} />${item.text}</button>`}
        </li>`)}
      </ul>
    </details>`;
}
