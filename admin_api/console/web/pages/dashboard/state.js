// For administrators: whether everything works, in a line.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Tag } from "../../ui/basics.js";
import { Icon } from "../../ui/icons.js";

export function State() {
  const { status } = useSession();
  const answer = useAnswer(async (signal) => {
    try {
      return await api.get("/api/state", {}, { signal });
    } catch (failure) {
      if (failure.status === 404 || failure.status === 403) return null;
      throw failure;
    }
  }, []);
  const wrong = answer.data ? wrongOf(answer.data) : [];
  return html`
    <div class="row small muted state"><${Icon} name="state" /><span>Tollhouse ${status.version}</span>
      ${answer.failure && html`<span>${t("dashboard.state_unknown")}</span>`}
      ${answer.data && html`
        <span>${t("dashboard.state_calls", { count: answer.data.calls?.running ?? 0, n: number(answer.data.calls?.running ?? 0) })}</span>
        ${wrong.map((text) => html`<${Tag} key=${text} tone="bad">${text}</${Tag}>`)}
        ${wrong.length === 0 && html`<${Tag} tone="good">${t("dashboard.state_well")}</${Tag}>`}
        <a href=${to("/admin/state")}>${t("page.state")}</a>`}
    </div>`;
}

/** What somebody should look after, in words. */
function wrongOf({ postgres, valkey, upstreams, catalog }) {
  const out = (upstreams ?? []).filter((each) => each.out_since !== null).map(({ name }) => name);
  return [
    !postgres && t("dashboard.state_no", { name: "PostgreSQL" }),
    !valkey && t("dashboard.state_no", { name: "Valkey" }),
    out.length > 0 && t("dashboard.state_out", { names: out.join(", ") }),
    catalog?.broken.length > 0 && t("dashboard.state_broken", { count: catalog.broken.length }),
  ].filter(Boolean);
}
