// Which calls usage and log are about: whose, of which key and model, and what callers told of them.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { loadArea, t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button } from "../../ui/basics.js";
import { Filter } from "../../ui/form.js";
import { Key, Whose } from "../../ui/sought.js";

await loadArea("calls");

const NAMES = ["user_id", "token_id", "model", "status", "end_user", "tag", "group", "upstream", "request_id"];

/** What the address says of calls, as parameters of the API; whose only for those who may see others'. */
export function callsOf(query, may) {
  const given = NAMES.map((name) => [name, query.get(name)]).filter(([name, value]) => value && (name !== "user_id" || may("token.read_any")));
  return Object.fromEntries(given);
}

/** The choices, with the chosen one among them, though it may be none of those that are offered. */
function offered(first, found, chosen) {
  const options = [["", first], ...found];
  return !chosen || options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
}

/** Whose calls: for those who may see others'. */
export function WhoseCalls({ query }) {
  const { may } = useSession();
  return may("token.read_any") && html`<${Whose} label=${t("calls.whose")} value=${query.get("user_id") ?? ""}
    fixed=${[["", t("calls.mine")], ["all", t("calls.everybody")]]} onChange=${(value) => refine({ user_id: value, token_id: "" })} />`;
}

/** Of which key. */
export const OfKey = ({ query }) => html`<${Key} label=${t("calls.key")} value=${query.get("token_id") ?? ""}
  owner=${query.get("user_id") ?? ""} fixed=${[["", t("calls.every_key")]]} onChange=${(value) => refine({ token_id: value })} />`;

/** Of which model. */
export function OfModel({ query }) {
  const { may } = useSession();
  const answer = useAnswer(async (signal) => (may("catalog.read") ? api.get("/api/user/models", {}, { signal }) : []), []);
  const chosen = query.get("model") ?? "";
  const names = (answer.data ?? []).map((name) => [name, name]);
  return html`<${Filter} label=${t("calls.model")} value=${chosen} options=${offered(t("calls.every_model"), names, chosen)}
    onChange=${(value) => refine({ model: value })} />`;
}

/** A filter by exact text, which is asked for when the field is left or Enter is pressed. */
const Exact = ({ query, name, label, ...rest }) => html`
  <input class="exact" aria-label=${label} placeholder=${label} value=${query.get(name) ?? ""} spellcheck="false" autocomplete="off"
    onChange=${(event) => refine({ [name]: event.target.value.trim() })} ...${rest} />`;

const RARE = ["end_user", "tag", "upstream", "group", "request_id"];

/** The filters that are seldom needed: folded until one is used. `names` are those that the page has. */
export function MoreFilters({ query, names = RARE }) {
  const { may } = useSession();
  const used = names.some((name) => query.get(name));
  const [open, setOpen] = useState(used);
  const shown = names.filter((name) => name !== "upstream" || may("catalog.read_any"));
  return html`
    <${Button} tone="quiet" icon=${open ? "up" : "down"} aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>
      ${t("calls.more_filters")}</${Button}>
    ${open && html`<div class="row rare">${shown.map((name) => html`
      <${Exact} key=${name} query=${query} name=${name} label=${t(`calls.${name}`)} />`)}</div>`}`;
}

/** Takes all filters away, where there are some. */
export function ClearFilters({ query }) {
  const used = NAMES.filter((name) => query.get(name));
  return used.length > 0 && html`<${Button} tone="quiet" icon="close"
    onClick=${() => refine(Object.fromEntries(used.map((name) => [name, ""])))}>${t("calls.clear")}</${Button}>`;
}
