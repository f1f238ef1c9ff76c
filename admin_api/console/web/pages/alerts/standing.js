// What stands now of what people are warned of.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { number, percent, usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty, Tag, When } from "../../ui/basics.js";
import { Icon } from "../../ui/icons.js";
import { Table } from "../../ui/table.js";
import { About } from "./parts.js";
import { iconOf, kindText } from "./words.js";

const EVERY_S = 10;
const FIRST_ROWS = 8;
const WHOLE = 100;

export function Standing() {
  const answer = useAnswer((signal) => api.get("/api/warning/standing", { user_id: "all" }, { signal }), [], { every: EVERY_S });
  const [all, setAll] = useState(false);
  const items = answer.data?.items ?? [];
  const count = Object.values(answer.data?.counts ?? {}).reduce((sum, each) => sum + each, 0);
  return html`
    <section class="stack tight"><div><h2>${t("alerts.stands")}</h2><p class="muted">${t("alerts.stands_text")}</p></div>
      <${Table} label=${t("alerts.stands")} columns=${columns()} answer=${{ ...answer, loading: false }}
        rowKey=${(each) => `${each.kind} ${each.upstream ?? ""} ${each.scope} ${each.token_id} ${each.account_id} ${each.user_id} ${each.group_id}`}
        items=${() => (all ? items : items.slice(0, FIRST_ROWS))}
        empty=${html`<${Empty} icon="done" title=${t("alerts.nothing_stands")} text=${t("alerts.nothing_stands_text")} />`}
        foot=${items.length > FIRST_ROWS && html`<span>${count > items.length && t("alerts.more_stand", { n: number(items.length), all: number(count) })}</span>
          <${Button} size="small" onClick=${() => setAll(!all)}>${all ? t("alerts.fewer") : t("alerts.show_all", { n: number(items.length) })}</${Button}>`} />
    </section>`;
}

const columns = () => [
  { name: "kind", title: t("alerts.kind"), head: true, cell: (each) => html`<span class="row tight kind"><${Icon} name=${iconOf(each)} />${kindText(each.kind)}</span>` },
  { name: "about", title: t("alerts.about"), cell: (each) => html`<${About} each=${each} />` },
  { name: "now", title: t("alerts.now"), cell: (each) => html`<${Now} each=${each} />` },
  { name: "told", title: t("alerts.told_at"), cell: ({ told_time: at }) => (at === null ? html`<span class="muted">${t("alerts.not_told")}</span>` : html`<${When} at=${at} />`) },
];

function Now({ each }) {
  if (each.kind === "upstream") return html`<${Tag} tone="bad">${t("alerts.out_since")} <${When} at=${each.out_since} /></${Tag}>`;
  if (each.kind === "expiry") return html`<${Tag} tone="warn">${t("alerts.expires")} <${When} at=${each.expires_time} /></${Tag}>`;
  return html`
    <span class="row tight"><${Tag} tone=${each.percent >= WHOLE ? "bad" : "warn"}>${percent(each.percent / WHOLE)}</${Tag}
      ><span class="tabular">${t("alerts.used_of", { used: usd(each.used_usd), granted: usd(each.granted_usd) })}</span></span>`;
}
