// API keys: the list, and what opens above it.

import { api } from "../../core/api.js";
import { reachable } from "../../core/addresses.js";
import { useAnswer } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to, usePlace } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useState } from "../../core/view.js";
import { Button, Copy, Empty, Notice, Page } from "../../ui/basics.js";
import { Pager, Table } from "../../ui/table.js";
import { columnsOf } from "./columns.js";
import { Creation, Edit } from "./drawer.js";
import { Filters, isNarrowed, listedBy } from "./filters.js";
import { Bulk, Deletion, DeletionOfSeveral } from "./row.js";
import { Reveal, Rotation } from "./secrets.js";
import { Shown } from "./shown.js";

const EVERYBODY = "all";

export default function Keys() {
  const { self, may } = useSession();
  const { query } = usePlace();
  const asked = listedBy(query);
  const page = useAnswer((signal) => api.get("/api/token", asked, { signal }), [JSON.stringify(asked)], { every: 30 });
  const groups = useAnswer((signal) => api.get("/api/user/self/groups", {}, { signal }), []).data ?? {};
  const [chosen, setChosen] = useState(new Set());
  const [opened, setOpened] = useState(null);
  useEffect(() => setChosen(new Set()), [JSON.stringify(asked)]);
  const owners = query.get("user_id") !== null && query.get("user_id") !== String(self.id);
  const acts = { open: (kind, what) => setOpened({ kind, what }), changed: page.reload };
  const rows = page.data?.items ?? [];
  const sort = { by: query.get("sort") || "id", descending: query.get("order") !== "asc" };
  const none = page.data?.total === 0 && !isNarrowed(query);
  const make = may("token.write") && html`
    <${Button} tone="primary" icon="plus" onClick=${() => refine({ new: 1 })}>${t("tokens.new")}</${Button}>`;
  const empty = none ? html`<${First} make=${make} owners=${owners} />`
    : html`<${Empty} title=${t("tokens.none_found")} text=${t("tokens.none_found_text")} />`;
  return html`
    <${Page} title=${t("page.tokens")} text=${t("tokens.text")} actions=${!none && make}>
      ${(!none || may("token.read_any")) && html`<${Filters} query=${query} groups=${groups} />`}
      <${Bulk} tokens=${rows.filter(({ id }) => chosen.has(id))} acts=${acts} clear=${() => setChosen(new Set())} />
      <${FirstRun} page=${page.data} narrowed=${isNarrowed(query) || owners} groups=${groups} />
      <div class="keys"><${Table} label=${t("page.tokens")} columns=${columnsOf({ acts, owners })} answer=${page}
        items=${(data) => data.items} sort=${sort} onSort=${(by, descending) => refine({ sort: by, order: descending ? "" : "asc", p: "" })}
        chosen=${chosen} onChoose=${may("token.write") ? setChosen : undefined} empty=${empty}
        foot=${page.data?.total > 0 && html`<${Pager} page=${page.data} onPage=${(p) => refine({ p })} />`} /></div>
    </${Page}>
    <${Opened} query=${query} opened=${opened} open=${setOpened} changed=${page.reload} groups=${groups} />`;
}

const First = ({ make, owners }) => html`
  <${Empty} icon="key" title=${t(owners ? "tokens.none_of_theirs" : "tokens.first")} text=${!owners && t("tokens.first_text")}>
    ${make}</${Empty}>`;

/** What to do with the only key there is, until it was used. */
function FirstRun({ page, narrowed, groups }) {
  const { status } = useSession();
  const only = page?.total === 1 && !narrowed ? page.items[0] : undefined;
  if (!only || only.accessed_time || only.status !== 1) return null;
  const model = modelsOf(only, groups)[0];
  const base = reachable(status.openai_base_url).url;
  return html`
    <div class="first-run"><${Notice}>
      <strong>${t("tokens.unused_yet")}</strong> ${t("tokens.unused_yet_text")}
      <dl class="facts">
        <dt>${t("tokens.base_url")}</dt><dd><code class="break">${base}</code> <${Copy} text=${base} /></dd>
        ${model && html`<dt>${t("tokens.model")}</dt><dd><code>${model}</code> <${Copy} text=${model} /></dd>`}
      </dl>
      <a href=${to("/playground", { token_id: only.id })}>${t("tokens.test_it")}</a>
      ${" · "}<a href=${to("/endpoints")}>${t("page.endpoints")}</a>
    </${Notice}></div>`;
}

/** The models that a token may call, as far as they are known. */
function modelsOf(token, groups) {
  const offered = groups[token.group]?.models ?? [];
  return token.effective.models === null ? offered : token.effective.models;
}

/** What is open above the list: by the address, or by what was clicked. */
function Opened({ query, opened, open, changed, groups }) {
  const { self } = useSession();
  const what = opened?.what;
  // A question closes itself when it is done; what it has opened stays.
  const close = (kind) => () => open((now) => (now?.kind === kind ? null : now));
  const leave = () => refine({ edit: "", new: "" });
  const show = (title, tokens, kept = false) => open({ kind: "shown", what: tokens, title, kept });
  const made = (tokens) => {
    leave();
    show(t("tokens.made", { count: tokens.length, amount: number(tokens.length), name: tokens[0].name }), tokens);
    changed();
  };
  const rotated = (token) => {
    leave();
    show(t("tokens.rotated", { name: token.name }), [token]);
    changed();
  };
  const user = query.get("user_id");
  const owner = user && user !== EVERYBODY && user !== String(self.id) ? user : null;
  const questions = {
    rotate: () => html`<${Rotation} token=${what} onClose=${close("rotate")} onRotated=${rotated} />`,
    reveal: () => html`
      <${Reveal} token=${what} onClose=${close("reveal")} onRevealed=${(key) => show(what.name, [{ ...what, key }], true)} />`,
    delete: () => html`<${Deletion} token=${what} onClose=${close("delete")} onDone=${changed} />`,
    delete_several: () => html`<${DeletionOfSeveral} tokens=${what} onClose=${close("delete_several")} onDone=${changed} />`,
    shown: () => html`
      <${Shown} title=${opened.title} tokens=${what} kept=${opened.kept} models=${modelsOf(what[0], groups)} onClose=${close("shown")} />`,
  };
  const edit = query.get("edit");
  return html`
    ${query.get("new") && html`<${Creation} ownerId=${owner} onClose=${leave} onMade=${made} />`}
    ${edit && html`
      <${Edit} id=${edit} onClose=${leave} onChanged=${changed} onRotate=${(token) => open({ kind: "rotate", what: token })} />`}
    ${opened && questions[opened.kind]()}`;
}
