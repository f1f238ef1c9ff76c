// For administrators: whether everything works, in a line.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
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
  return html`
    <p class="row small muted"><${Icon} name="state" /><span>Tollhouse ${status.version}</span>
      ${answer.failure && html`<span>${t("dashboard.state_unknown")}</span>`}
      ${answer.data && html`<a href=${to("/admin/state")}>${t("page.state")}</a>`}
    </p>`;
}
