// Warnings: of what one is told before something stops, and where.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Empty, Notice, Page, When } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { Check } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { Table } from "../../ui/table.js";
import { Test } from "../alerts/parts.js";
import { Told } from "../alerts/told.js";
import { CreateWebhook } from "./create.js";

const EVENTS = [["quota", "wallet"], ["limit", "usage"], ["expiry", "key"], ["upstream", "upstream"]];
const MOST = 10;

export default function Warnings({ query }) {
  return html`<${Page} title=${t("page.warnings")} text=${t("warnings.text")}>
    <div class="stack">
      <${Events} />
      <${Mail} />
      <${Webhooks} query=${query} />
      <${Told} query=${query} path="/warnings" own />
    </div>
  </${Page}>`;
}

function Events() {
  const { may } = useSession();
  // What upstreams do is told to the operator alone.
  const shown = EVENTS.filter(([name]) => name !== "upstream" || may("catalog.read_any"));
  return html`<section class="card"><h2>${t("warnings.events")}</h2>
    <ul class="lines">${shown.map(([name, icon]) => html`<li class="row begin" key=${name}><${Icon} name=${icon} />
      <div class="grow"><strong>${t(`warnings.event.${name}`)}</strong>
        <div class="muted small">${t(`warnings.event_text.${name}`)}</div></div>
      <code class="muted small">warning.${name}</code></li>`)}</ul>
  </section>`;
}

function Mail() {
  const { self, status, refresh } = useSession();
  const { busy, run } = useSending();
  const [wanted, setWanted] = useState(self.mail_warnings);
  const choose = async (mail_warnings) => {
    setWanted(mail_warnings);
    const works = await run(async () => {
      await api.put("/api/user/self", { mail_warnings });
      await refresh();
    });
    if (!works) setWanted(!mail_warnings);
    tell(t(works ? (mail_warnings ? "warnings.mail_on" : "warnings.mail_off") : "problem.unknown"));
  };
  return html`<section class="card stack tight"><h2>${t("warnings.mail")}</h2>
    <${Check} label=${t("warnings.mail_wanted")}
      hint=${self.email ? t("warnings.mail_to", { email: self.email }) : t("warnings.mail_nowhere")}
      checked=${wanted} disabled=${busy} onChange=${choose} />
    ${!status.mail && html`<${Notice} tone="warn">${t("warnings.no_mail")}</${Notice}>`}
    ${status.mail && !self.email && html`<div><a href=${to("/account")}>${t("warnings.give_address")}</a></div>`}
  </section>`;
}

function Webhooks({ query }) {
  const answer = useAnswer((signal) => api.get("/api/webhook", {}, { signal }), []);
  const [asking, ask] = useState(null);
  const full = answer.data?.length >= MOST;
  return html`<section class="stack tight">
    <div class="row spread"><div><h2>${t("warnings.webhooks")}</h2><p class="muted">${t("warnings.webhooks_text")}</p></div>
      <span title=${full ? t("warnings.full") : undefined}><${Button} icon="plus" disabled=${full}
        onClick=${() => refine({ new: 1 })}>${t("warnings.create")}</${Button}></span></div>
    <${Table} label=${t("warnings.webhooks")} columns=${columns(ask)} answer=${answer}
      empty=${html`<${Empty} icon="alert" title=${t("warnings.none")} text=${t("warnings.none_text")} />`} />
    ${query.get("new") && html`<${CreateWebhook} onClose=${() => refine({ new: "" })} onCreated=${answer.reload} />`}
    ${asking && html`<${Forget} webhook=${asking} onClose=${() => ask(null)} onForgotten=${answer.reload} />`}
  </section>`;
}

const columns = (ask) => [
  { name: "url", title: t("warnings.url"), head: true, cell: (row) => html`<span class="mono">${row.url}</span>` },
  { name: "created", title: t("warnings.created"), cell: (row) => html`<${When} at=${row.created_time} />` },
  { name: "test", title: t("alerts.test_title"), cell: (row) => html`<${Test} path=${`/api/webhook/${row.id}/test`} target=${row.url} />` },
  { name: "actions", title: t("actions"), actions: true, cell: (row) => html`
    <${Button} size="small" tone="danger" onClick=${() => ask(row)}>${t("delete")}</${Button}>` },
];

const Forget = ({ webhook, onClose, onForgotten }) => html`
  <${Question} title=${t("warnings.delete_title")} action=${t("delete")} onClose=${onClose}
    act=${async () => {
      await api.delete(`/api/webhook/${webhook.id}`);
      tell(t("warnings.was_deleted"));
      onForgotten();
    }}>
    <p class="break">${t("warnings.delete_text", { url: webhook.url })}</p>
  </${Question}>`;
