// Alerts: for administrators, what people are warned of, whether it reached them, and what stands now.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Answered, Notice, Page } from "../../ui/basics.js";
import { Icon } from "../../ui/icons.js";
import { Test } from "./parts.js";
import { Standing } from "./standing.js";
import { Told } from "./told.js";
import "./words.js";

export default function Alerts({ query }) {
  return html`
    <${Page} title=${t("page.alerts")} text=${t("alerts.text")}>
      <div class="stack">
        <${Standing} />
        <${Operator} />
        <${Told} query=${query} path="/admin/alerts" />
      </div>
    </${Page}>`;
}

/** Where the operator is told, which is set in the configuration; and a call of their webhook. */
function Operator() {
  const answer = useAnswer((signal) => api.get("/api/warning/operator", {}, { signal }), []);
  return html`
    <section class="card stack tight"><div><h2>${t("alerts.operator")}</h2><p class="muted">${t("alerts.operator_text")}</p></div>
      <${Answered} answer=${answer} lines=${2}>${(operator) => html`<${Ways} operator=${operator} />`}</${Answered}>
    </section>`;
}

function Ways({ operator: { mail, webhook, sends_mail: sendsMail } }) {
  const { may } = useSession();
  if (mail.length === 0 && !webhook) return html`<${Notice} tone="warn">${t("alerts.operator_nowhere")}</${Notice}>`;
  return html`
    <ul class="lines">
      ${mail.map((address) => html`<li class="row tight" key=${address}><${Icon} name="mail" /><span class="break">${address}</span></li>`)}
      ${webhook && html`<li class="row spread"><span class="row tight"><${Icon} name="link" /><span class="mono break">${webhook}</span></span>
        ${may("catalog.write") && html`<${Test} path="/api/warning/operator/test" target=${webhook} />`}</li>`}
    </ul>
    ${mail.length > 0 && !sendsMail && html`<${Notice} tone="warn">${t("alerts.operator_no_mail")}</${Notice}>`}`;
}
