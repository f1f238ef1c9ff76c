import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { short } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { html, useState } from "../../core/view.js";
import { Button, Copy, Empty, Page } from "../../ui/basics.js";
import { Filter, Search } from "../../ui/form.js";
import { here } from "../../ui/entries.js";
import { Few } from "../../ui/names.js";
import { More, Table } from "../../ui/table.js";
import { ModelDetail } from "./detail.js";
import { Cost, priceIn } from "./prices.js";

const SHOWN = 50;

export default function Models({ query }) {
  const answer = useAnswer(offers, []);
  const [most, setMost] = useState(SHOWN);
  const group = query.get("group") ?? "";
  const sort = { by: query.get("sort") ?? "name", descending: query.get("order") === "desc" };
  const all = answer.data ?? [];
  const found = sorted(all.filter(wanted(query.get("q") ?? "", group)), sort, group);
  const groups = [...new Set(all.flatMap((each) => each.groups))];
  const shown = { ...answer, data: answer.data && found.slice(0, most) };
  const opened = all.find((each) => each.name === query.get("show"));
  return html`
    <${Page} title=${t("page.models")} text=${t("models.text")}>
      <div class="filters">
        <${Search} label=${t("models.search")} value=${query.get("q") ?? ""} onInput=${(q) => refine({ q })} />
        ${groups.length > 1 && html`<${Filter} label=${t("models.group")} value=${group} onChange=${(chosen) => refine({ group: chosen })}
          options=${[["", t("models.all_groups")], ...groups.map((each) => [each, each])]} />`}
        <span class="muted tabular" role="status">${answer.data && t("models.count", { count: found.length })}</span>
      </div>
      <${Table} label=${t("page.models")} columns=${columns(group, groups.length > 1)} answer=${shown} rowKey=${(row) => row.name}
        sort=${sort}
        onSort=${(by, descending) => refine({ sort: by, order: sort.by === by && descending ? "desc" : "" })}
        empty=${html`<${None} filtered=${all.length > 0} />`}
        foot=${found.length > most && html`<${More} onMore=${() => setMost(most + SHOWN)} />`} />
    </${Page}>
    ${opened && html`<${ModelDetail} model=${opened} onClose=${() => refine({ show: "" })} />`}`;
}

/** Models with their prices; from a server that does not tell them, their names. */
async function offers(signal) {
  try {
    return await api.get("/api/user/self/models", {}, { signal });
  } catch (failure) {
    if (failure.status !== 404) throw failure;
    const names = await api.get("/api/user/models", {}, { signal });
    return names.map((name) => ({ name, groups: [], dialects: [], members: null, prices: [] }));
  }
}

const wanted = (text, group) => ({ name, groups }) =>
  name.toLowerCase().includes(text.trim().toLowerCase()) && (!group || groups.includes(group));

function sorted(models, { by, descending }, group) {
  const value = (model) => (by === "name" ? model.name : priceIn(model, group)?.[by] ?? Infinity);
  const compare = (one, other) => (value(one) < value(other) ? -1 : value(one) > value(other) ? 1 : 0);
  return [...models].sort((one, other) => (descending ? compare(other, one) : compare(one, other)));
}

const columns = (group, several) => [
  { name: "name", title: t("models.name"), sort: "name", head: true, cell: (row) => html`<span class="row tight">
    <a class="name" href=${here({ show: row.name })}>${row.name}</a> <${Copy} text=${row.name}
      label=${t("models.copy", { name: row.name })} /></span>` },
  ...["input", "cached_input", "output"].map((kind) => ({
    name: kind, title: t(`models.${kind}`), number: true, sort: `${kind}_usd_per_mtok`,
    cell: (row) => html`<${Cost} model=${row} group=${group} kind=${kind} />`,
  })),
  { name: "context", title: t("models.context"), number: true, cell: (row) => (row.max_input_tokens ? short(row.max_input_tokens) : "–") },
  several && { name: "groups", title: t("models.groups"), cell: (row) => html`<${Few} names=${row.groups} />` },
  { name: "actions", title: t("actions"), actions: true, cell: (row) => html`
    <a class="button small" href=${to("/endpoints", { model: row.name })}
      aria-label=${t("models.use_name", { name: row.name })}>${t("models.use")}</a>` },
].filter(Boolean);

const None = ({ filtered }) => filtered
  ? html`<${Empty} title=${t("models.none_found")}>
      <${Button} onClick=${() => refine({ q: "", group: "" })}>${t("models.show_all")}</${Button}></${Empty}>`
  : html`<${Empty} icon="models" title=${t("models.none")} text=${t("models.none_text")} />`;
