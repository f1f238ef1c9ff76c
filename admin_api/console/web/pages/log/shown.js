// A call's parts as they are told in the list and beside it.

import { clock, dateTime, dayShort } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { midnight } from "../../core/period.js";
import { html } from "../../core/view.js";
import { Tag } from "../../ui/basics.js";

/** Of a log one wants the exact times; what is of today needs no date. */
export const Began = ({ at }) => html`
  <time datetime=${new Date(at * 1000).toISOString()} title=${dateTime(at)} class="nowrap tabular">
    ${at < midnight() && html`<span class="muted">${dayShort(at)} </span>`}${clock(at)}</time>`;

const CALLER_LEFT = "client_closed";
const TONES = { 2: "good", 3: "good", 4: "warn", 5: "bad" };

/** What the caller was answered, with what was not plain about it. */
export function Status({ call }) {
  const left = call.status === 499 || call.anomaly === CALLER_LEFT;
  return html`
    <span class="row tight">
      <${Tag} tone=${left ? undefined : TONES[Math.floor(call.status / 100)]}>${left ? t("log.left") : call.status}</${Tag}>
      ${call.anomaly && call.anomaly !== CALLER_LEFT && html`<${Tag} tone="warn"><span title=${anomalyText(call.anomaly)}>${t("log.odd")}</span></${Tag}>`}
    </span>`;
}

const ANOMALIES = {
  client_closed: "log.anomaly.client_closed", upstream_cut: "log.anomaly.upstream_cut", no_usage: "log.anomaly.no_usage",
  bad_usage: "log.anomaly.bad_usage", over_hold: "log.anomaly.over_hold", quota_cut: "log.anomaly.quota_cut", revoked: "log.anomaly.revoked", unmetered: "log.anomaly.unmetered",
  lost_worker: "log.anomaly.lost_worker", void: "log.anomaly.void",
};

export const anomalyText = (anomaly) => (anomaly in ANOMALIES ? t(ANOMALIES[anomaly]) : anomaly);
