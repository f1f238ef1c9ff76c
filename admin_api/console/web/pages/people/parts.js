// Small parts that the pages of people and of their wallets share.

import { api } from "../../core/api.js";
import { useAnswer, useSettled } from "../../core/answers.js";
import { sentenceOf, t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { html, useEffect, useId, useRef, useState } from "../../core/view.js";
import { Button, Notice, Problem, Snippet, Tag } from "../../ui/basics.js";
import { Field, Filter, Select } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import "./words.js";

const MOST = 100;

/** [text, setText] of a search field whose settled text stands in the address as `keyword`. */
export function useKeyword(query) {
  const given = query.get("keyword") ?? "";
  const [text, setText] = useState(given);
  const settled = useSettled(text);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) refine({ keyword: settled.trim(), p: "" });
    first.current = false;
  }, [settled]);
  useEffect(() => { if (given !== text.trim()) setText(given); }, [given]);
  return [text, setText];
}

/** A filter whose choice stands in the address as `name`. `options` are [value, words]. */
export const Refined = ({ query, name, label, options }) => html`
  <${Filter} label=${label} value=${query.get(name) ?? ""} options=${options} onChange=${(value) => refine({ [name]: value, p: "" })} />`;

export const StatusTag = ({ status }) => html`
  <${Tag} tone=${status === 1 ? "good" : "bad"}>${t(status === 1 ? "people.enabled" : "people.disabled")}</${Tag}>`;

export const statusOptions = () => [["", t("people.any_status")], ["1", t("people.enabled")], ["2", t("people.disabled")]];

/** Why something is not offered, for whoever looks. */
export const Why = ({ text }) => html`
  <span class="mark" tabindex="0" title=${text} role="img" aria-label=${text}><${Icon} name="info" /></span>`;

/** The groups that one's tokens may name, as options; `present` is among them, whatever it is. */
export function useGroups(present) {
  const answer = useAnswer((signal) => api.get("/api/user/self/groups", {}, { signal }), []);
  const names = new Set([...Object.keys(answer.data ?? {}), ...(present ? [present] : [])]);
  return [...names].sort().map((name) => [name, name]);
}

/**
 * What went wrong, but for mistakes that stand at their fields, which `placed` names.
 *
 * Where somebody was quicker, what was typed stays, and `reload` gets what they saved.
 */
export function FormProblem({ failure, placed = [], reload }) {
  if (failure?.status === 412 && reload) {
    return html`<${Notice} tone="warn" live>${t("people.changed_meanwhile")}
      <${Button} size="small" onClick=${reload}>${t("people.load_new")}</${Button}></${Notice}>`;
  }
  const errors = failure?.errors ?? [];
  if (errors.length === 0) return html`<${Problem} failure=${failure} />`;
  const rest = errors.filter((each) => !placed.some((name) => each.field === name || each.field?.startsWith(`${name}.`)));
  return html`<${Notice} tone="bad" live>${rest.length ? sentenceOf({ errors: rest }) : t("people.look_above")}</${Notice}>`;
}

/** Something that is shown this once, with a copy button; `text` says so. */
export const ShownOnce = ({ text, label, value }) => html`
  <${Notice} tone="warn">${text}</${Notice}>
  <div class="field"><span class="label">${label}</span><${Snippet} text=${value} /></div>`;

/** A choice of an account, by search where there are many. `value` is its id as text. */
export function AccountChoice({ label, hint, mistake, value, onChange }) {
  const [keyword, setKeyword] = useState("");
  const settled = useSettled(keyword);
  const asked = { user_id: "all", page_size: MOST, keyword: settled };
  const answer = useAnswer((signal) => api.get("/api/account", asked, { signal }), [settled]);
  const items = answer.data?.items ?? [];
  const options = [["", t("people.choose_account")], ...items.map((each) => [String(each.id), nameOf(each)])];
  const many = keyword !== "" || (answer.data?.total ?? 0) > MOST;
  return html`
    ${many && html`<input type="search" aria-label=${t("people.search_account")} placeholder=${t("people.search_account")} value=${keyword}
      onInput=${(event) => setKeyword(event.target.value)} />`}
    <${Select} label=${label} hint=${hint} mistake=${mistake ?? (answer.failure && sentenceOf(answer.failure))} value=${value}
      options=${options} onChange=${onChange} />`;
}

const nameOf = (account) => (account.owner && account.owner !== account.name ? `${account.name} (${account.owner})` : account.name);

/** A username, with those that there are as suggestions where one may see them. `onInput(name, id)`; id where it is known. */
export function Person({ label, hint, mistake, value, onInput, suggest }) {
  const id = useId();
  const settled = useSettled(value);
  const find = async (signal) => (await api.get("/api/user", { keyword: settled, page_size: 20 }, { signal })).items;
  const answer = useAnswer(async (signal) => (suggest && settled ? find(signal) : []), [settled]);
  const known = useRef(new Map());
  for (const each of answer.data ?? []) known.current.set(each.username.toLowerCase(), each.id);
  const typed = (text) => onInput(text, known.current.get(text.trim().toLowerCase()));
  useEffect(() => { if (value) typed(value); }, [answer.data]);
  return html`
    <${Field} label=${label} hint=${hint} mistake=${mistake}>
      ${(attributes) => html`
        <input ...${attributes} list=${id} value=${value} autocomplete="off" autocapitalize="none" spellcheck="false"
          onInput=${(event) => typed(event.target.value)} />
        <datalist id=${id}>${(answer.data ?? []).map((each) => html`
          <option key=${each.id} value=${each.username}>${each.display_name}</option>`)}</datalist>`}
    </${Field}>`;
}
