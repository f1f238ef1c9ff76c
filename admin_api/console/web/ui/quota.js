// A quota as a bar: what is used, what running calls hold, what is left. Amounts are quota units.

import { money } from "../core/format.js";
import { t } from "../core/messages.js";
import { classes, html } from "../core/view.js";

const WARN_FROM = 0.8;

/** `granted` null is without a cap; `held` null is not known. */
export function QuotaBar({ used, held, granted }) {
  if (granted === null) {
    return html`
      <div class="quota"><span class="row spread">
        <span>${t("unlimited")}</span><span class="muted small tabular">${t("quota.used", { used: money(used) })}</span>
      </span></div>`;
  }
  const taken = used + (held ?? 0);
  const part = (amount) => (granted > 0 ? Math.min(100, (100 * amount) / granted) : 100);
  const widths = [part(used), Math.min(part(held ?? 0), 100 - part(used))].map((width) => ({ width: `${width}%` }));
  const tone = taken >= granted ? "bad" : taken >= granted * WARN_FROM ? "warn" : "";
  const figures = { used: money(used), held: money(held ?? 0), left: money(Math.max(0, granted - taken)), granted: money(granted) };
  return html`
    <div class=${classes("quota", tone)} title=${t(held ? "quota.all_held" : "quota.all", figures)}>
      <span class="row spread tabular">
        <span>${t("quota.left", figures)}</span><span class="muted small">${t("quota.of", figures)}</span>
      </span>
      <span class="bar" aria-hidden="true">
        <i style=${widths[0]}></i><i class="held" style=${widths[1]}></i>
      </span>
      <span class="muted small tabular">${t(held ? "quota.used_held" : "quota.used", figures)}</span>
    </div>`;
}

/** The same of a token. */
export const TokenQuota = ({ token }) => html`
  <${QuotaBar} used=${token.used_quota} held=${token.held_quota}
    granted=${token.unlimited_quota ? null : token.used_quota + token.remain_quota} />`;
