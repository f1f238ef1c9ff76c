// Where one stands: the address to call, the money, what today was like, and which keys want to be looked at.

import { api } from "../core/api.js";
import { useAnswer } from "../core/answers.js";
import { money, zone } from "../core/format.js";
import { t } from "../core/messages.js";
import { midnight } from "../core/period.js";
import { to } from "../core/route.js";
import { useSession } from "../core/session.js";
import { html } from "../core/view.js";
import { Answered, Copy, Page } from "../ui/basics.js";
import { Attention, useKeys } from "./dashboard/keys.js";
import { Start } from "./dashboard/start.js";
import { State } from "./dashboard/state.js";
import { Spend, Today } from "./dashboard/usage.js";

const DAYS = 30;
const USAGE_EVERY_S = 60;

export default function Dashboard() {
  const { may } = useSession();
  const reads = may("token.read");
  const start = midnight(DAYS - 1);
  const usage = useAnswer(async (signal) => (reads ? api.get("/api/usage", { start, interval: "day", time_zone: zone() }, { signal }) : null),
    [start], { every: USAGE_EVERY_S });
  const keys = useKeys(reads);
  const none = keys.data?.total === 0;
  return html`
    <${Page} title=${t("page.dashboard")}>
      <div class="stack">
        ${none && html`<${Start} />`}
        <div class="grid dashboard-top"><${Address} /><${Balance} /></div>
        ${reads && html`
          <${Today} usage=${usage} />
          <div class="dashboard-parts"><${Spend} usage=${usage} days=${DAYS} />${!none && html`<${Attention} keys=${keys} />`}</div>`}
        ${may("catalog.read_any") && html`<${State} />`}
      </div>
    </${Page}>`;
}

function Address() {
  const { status } = useSession();
  return html`
    <section class="card"><h2>${t("dashboard.base_url")}</h2>
      <div class="row address"><code class="break">${status.openai_base_url}</code><${Copy} text=${status.openai_base_url} words /></div>
      <p class="small muted">${t("dashboard.base_url_text")} <a href=${to("/endpoints")}>${t("dashboard.endpoints")}</a></p>
    </section>`;
}

/** What is left of the wallet that pays for new keys; the profile that was read at sign-in knows an older figure. */
function Balance() {
  const answer = useAnswer((signal) => api.get("/api/user/self", {}, { signal }), [], { every: USAGE_EVERY_S });
  return html`
    <section class="card"><div class="card-head"><h2>${t("dashboard.balance")}</h2><a class="small" href=${to("/wallet")}>${t("page.wallet")}</a></div>
      <${Answered} answer=${answer} lines=${2}>${(self) => html`<${Money} self=${self} />`}</${Answered}>
    </section>`;
}

function Money({ self }) {
  const { quota: left, used_quota: used, unlimited_quota: unlimited } = self;
  const share = left + used > 0 ? used / (left + used) : 0;
  return html`
    <div class="balance tabular">${unlimited ? t("unlimited") : money(left)}</div>
    ${!unlimited && html`<div class=${share >= 0.9 ? "quota bad" : "quota"}><div class="bar" aria-hidden="true"><i style=${{ width: `${share * 100}%` }}></i></div></div>`}
    <p class="small muted">${unlimited ? t("dashboard.used", { used: money(used) }) : t("dashboard.used_of", { used: money(used), all: money(left + used) })}</p>`;
}
