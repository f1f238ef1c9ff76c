// The first steps of somebody who has no key yet.

import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Icon } from "../../ui/icons.js";

export function Start() {
  const { may } = useSession();
  if (!may("token.write")) return null;
  return html`
    <section class="card quick-start"><h2>${t("dashboard.start")}</h2>
      <ol>
        <li><h3>${t("dashboard.start_key")}</h3><p class="muted">${t("dashboard.start_key_text")}</p>
          <a class="button primary" href=${to("/keys", { new: 1 })}><${Icon} name="plus" />${t("dashboard.first_key")}</a></li>
        <li><h3>${t("dashboard.start_url")}</h3><p class="muted">${t("dashboard.start_url_text")}</p>
          <a class="button" href=${to("/endpoints")}><${Icon} name="endpoints" />${t("dashboard.start_clients")}</a></li>
        <li><h3>${t("dashboard.start_see")}</h3><p class="muted">${t("dashboard.start_see_text")}</p>
          <a class="button" href=${to("/log", { live: 1 })}><${Icon} name="log" />${t("dashboard.start_log")}</a></li>
      </ol>
    </section>`;
}
