// What the list of keys is narrowed by. All of it stands in the address.

import { api } from "../../core/api.js";
import { useSettled } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useRef, useState } from "../../core/view.js";
import { Button, Segments } from "../../ui/basics.js";
import { tell } from "../../ui/dialogs.js";
import { Filter, Search } from "../../ui/form.js";
import { Whose } from "../../ui/sought.js";

const NAMES = ["q", "by", "status", "group"];
const STATUSES = [1, 2, 3, 4];

// What lists show of a key; its first or last four characters may be a name as well; and a whole one.
const MASK = /^(sk-)?[!-)+-~]{4}(\*+|…)[!-)+-~]{4}$/;
const END = /^[!-)+-~]{4}$/;
const WHOLE = /^sk-[\w-]{20,}$/;

/** The parameters of the list that the address asks for. */
export function listedBy(query) {
  const q = query.get("q") ?? "";
  return {
    p: query.get("p") ?? "1", page_size: 25, [query.get("by") === "key" ? "token" : "keyword"]: q,
    ...Object.fromEntries(["status", "group", "sort", "order", "user_id"].map((name) => [name, query.get(name)])),
  };
}

export const isNarrowed = (query) => NAMES.some((name) => query.get(name));

export function Filters({ query, groups }) {
  const narrow = (changes) => refine({ p: "", ...changes });
  const options = (none, values, words) => [["", none], ...values.map((value) => [String(value), words(value)])];
  const clear = () => narrow(Object.fromEntries(NAMES.map((name) => [name, ""])));
  const group = query.get("group") ?? "";
  const names = [...new Set([...Object.keys(groups), group])].filter(Boolean);
  return html`
    <div class="filters" role="search">
      <${Words} query=${query} narrow=${narrow} />
      <${Filter} label=${t("tokens.group")} value=${group} onChange=${(value) => narrow({ group: value })}
        options=${options(t("tokens.any_group"), names, (name) => name)} />
      <${Filter} label=${t("tokens.status")} value=${query.get("status") ?? ""} onChange=${(value) => narrow({ status: value })}
        options=${options(t("tokens.any_status"), STATUSES, (status) => t(`tokens.status.${status}`))} />
      <${WhoseKeys} query=${query} narrow=${narrow} />
      ${isNarrowed(query) && html`<${Button} tone="quiet" icon="close" onClick=${clear}>${t("tokens.clear")}</${Button}>`}
    </div>`;
}

/** Text that is looked for in names, or in what is shown of keys. A whole key never gets into the address. */
function Words({ query, narrow }) {
  const [text, setText] = useState(query.get("q") ?? "");
  const settled = useSettled(text.trim());
  const sent = useRef(text);
  const q = query.get("q") ?? "";
  useEffect(() => {
    if (q !== sent.current) setText(q);
    sent.current = q;
  }, [q]);
  useEffect(() => {
    if (settled === q || settled !== text.trim()) return;
    if (WHOLE.test(settled)) return void findWhole(settled, narrow).finally(() => setText(""));
    sent.current = settled.replace("…", "****");
    narrow({ q: settled.replace("…", "****"), by: MASK.test(settled) ? "key" : "" });
  }, [settled]);
  return html`
    <${Search} label=${t("tokens.search")} value=${text} onInput=${setText} />
    ${END.test(q) && html`<${Segments} label=${t("tokens.look_in")} value=${query.get("by") ?? ""} onChange=${(by) => narrow({ by })}
      options=${[["", t("tokens.look_in_names")], ["key", t("tokens.look_in_keys")]]} />`}`;
}

async function findWhole(key, narrow) {
  try {
    const found = await api.post("/api/token/find", { key });
    narrow({ q: found.key, by: "key", status: "", group: "" });
    tell(t("tokens.found", { name: found.name }));
  } catch (failure) {
    tell(failure);
  }
}

/** For administrators: one's own keys, everybody's, or those of one user. */
function WhoseKeys({ query, narrow }) {
  const { may } = useSession();
  return may("token.read_any") && html`<${Whose} label=${t("tokens.whose")} value=${query.get("user_id") ?? ""}
    fixed=${[["", t("tokens.whose_mine")], ["all", t("tokens.whose_all")]]} onChange=${(value) => narrow({ user_id: value })} />`;
}
