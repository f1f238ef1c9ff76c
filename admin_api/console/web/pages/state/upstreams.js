import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Tag, When } from "../../ui/basics.js";

/** Upstreams as the gateways see them: those that are out come first. */
export function Upstreams({ upstreams }) {
  if (upstreams.length === 0) return null;
  const ordered = [...upstreams].sort((one, other) => Number(Boolean(other.out_since)) - Number(Boolean(one.out_since)));
  return html`
    <section class="stack tight">
      <h2>${t("state.upstreams")}</h2>
      <div class="card"><ul class="offered">
        ${ordered.map((each) => html`
          <li key=${each.name}>
            <a class="name" href=${to("/admin/upstreams", { edit: each.name })}>${each.name}</a>
            ${each.out_since
              ? html`<${Tag} tone="bad">${t("state.out_since")} <${When} at=${each.out_since} /></${Tag}>`
              : html`<${Tag} tone="good">${t("state.no_outage")}</${Tag}>`}
          </li>`)}
      </ul></div>
      <p class="muted small">${t("state.upstreams_text")}</p>
    </section>`;
}
