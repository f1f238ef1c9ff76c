// What the pages of the catalog share. Upstreams, models and groups come from the configuration file, where alone they
// are changed, or from here.

import { api } from "../core/api.js";
import { useAnswer, useSettled } from "../core/answers.js";
import { loadArea, t } from "../core/messages.js";
import { place, refine, to } from "../core/route.js";
import { html, useEffect, useState } from "../core/view.js";
import { Button, Empty, Tag } from "./basics.js";
import { Question, tell } from "./dialogs.js";
import { Filter, Search } from "./form.js";

await loadArea("entries");

const SIZE = 25;

/** The path of an entry; names of models hold slashes, which stay. */
export const pathOf = (path, name) => `${path}/${name.split("/").map(encodeURIComponent).join("/")}`;

/** The present address with other parameters: for links that open something here. */
export const here = (changes) => to(place().path, { ...Object.fromEntries(place().query), ...changes });

/** A page of entries as the address wants it, and the filters for it. */
export function useEntries(path, query) {
  const asked = { keyword: query.get("q") ?? "", source: query.get("source") ?? "", p: query.get("p") ?? "", size: SIZE };
  const answer = useAnswer((signal) => api.get(path, asked, { signal }), [path, ...Object.values(asked)]);
  return { answer, filtered: Boolean(asked.keyword || asked.source) };
}

/** Search and where from. `sources` are those that entries of this kind can have. */
export function EntryFilters({ label, query, sources = ["file", "api"], children }) {
  const [keyword, setKeyword] = useState(query.get("q") ?? "");
  const settled = useSettled(keyword);
  useEffect(() => {
    if (settled !== (query.get("q") ?? "")) refine({ q: settled, p: "" });
  }, [settled]);
  const options = ["", ...sources].map((each) => [each, t(`entries.source.${each || "all"}`)]);
  return html`
    <div class="filters">
      <${Search} label=${label} value=${keyword} onInput=${setKeyword} />
      <${Filter} label=${t("entries.source")} value=${query.get("source") ?? ""} options=${options}
        onChange=${(source) => refine({ source, p: "" })} />
      ${children}
    </div>`;
}

/** The name of an entry, which opens it, and what is unusual about it. */
export const EntryName = ({ entry, children }) => html`
  <span class="row tight">
    <a class="name" href=${here({ edit: entry.name })}>${entry.name}</a>
    ${entry.source === "file" && html`<${Tag}>${t("entries.file")}</${Tag}>`}
    ${entry.broken && html`<${Tag} tone="bad">${t("entries.broken")}</${Tag}>`}
    ${children}
  </span>`;

/** What stands where a list is empty: nothing there yet, or nothing that fits the filters. */
export const NoEntries = ({ filtered, icon, title, text, children }) => filtered
  ? html`<${Empty} title=${t("entries.none_found")}>
      <${Button} onClick=${() => refine({ q: "", source: "", p: "" })}>${t("entries.all_again")}</${Button}></${Empty}>`
  : html`<${Empty} icon=${icon} title=${title} text=${text}>${children}</${Empty}>`;

/** What can be done with an entry, for its menu. */
export const entryActions = ({ entry, writes, remove }) => {
  const own = writes && entry.source === "api";
  return [
    { icon: own ? "edit" : "eye", text: t(own ? "edit" : "entries.view"), href: here({ edit: entry.name }) },
    own && { icon: "trash", text: t("delete"), danger: true, act: remove },
  ];
};

/** Asks before an entry is deleted. What uses it is told by the server, which then deletes nothing. */
export const DeleteEntry = ({ path, entry, title, onClose, onDone, children }) => html`
  <${Question} title=${title} action=${t("delete")} onClose=${onClose}
    act=${async () => {
      const { late } = await api.delete(pathOf(path, entry.name), { version: entry.version, whole: true });
      tell(t(late ? "saved_late" : "entries.deleted", { name: entry.name }));
      onDone();
    }}>
    ${children}
  </${Question}>`;

/** Names that fit what is typed in a field of names: {options, onType}. */
export function useFound(path) {
  const [text, setText] = useState("");
  const keyword = useSettled(text);
  const { data } = useAnswer((signal) => api.get(path, { keyword, size: 50 }, { signal }), [path, keyword]);
  return { options: data?.items.map((each) => each.name) ?? [], onType: setText };
}

/** A few facts beside their names; falsy ones are left out. */
export const Facts = ({ rows }) => html`
  <dl class="facts">
    ${rows.filter(Boolean).map(([name, value]) => html`<dt key=${name}>${name}</dt><dd>${value}</dd>`)}
  </dl>`;
