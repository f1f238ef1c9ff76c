// All that is known of one call, beside the list.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { clock, dateTime, duration, number, nusd, usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Answered, Copy, Empty, Notice, Tag, When } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { anomalyText, Status } from "./shown.js";

const PARTS = [
  "cached_input_tokens", "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens", "image_input_tokens",
  "reasoning_tokens", "audio_output_tokens", "image_output_tokens", "rejected_prediction_tokens",
];

/** The call of an id: one of the list, or else asked for, as where somebody was sent the address. */
export function CallDrawer({ id, calls }) {
  const { may } = useSession();
  const listed = calls.find((call) => call.request_id === id);
  const parameters = { request_id: id, user_id: may("token.read_any") ? "all" : "" };
  const answer = useAnswer(async (signal) => listed ?? (await api.get("/api/log", parameters, { signal })).items[0] ?? null, [id]);
  return html`
    <${Drawer} title=${t("log.call")} onClose=${() => refine({ call: "" })}>
      <${Answered} answer=${answer} lines=${8}>${(call) => (call
        ? html`<${Call} call=${call} />`
        : html`<${Empty} icon="log" title=${t("log.no_call")} text=${t("log.no_call_text")} />`)}
      </${Answered}>
    </${Drawer}>`;
}

const Call = ({ call }) => html`
  <div class="row"><${Status} call=${call} /><code class="break">${call.model}</code>
    ${call.from_console && html`<${Tag} tone="accent">${t("page.playground")}</${Tag}>`}<span class="muted"><${When} at=${call.started_at} /></span></div>
  ${call.anomaly && html`<${Notice} tone="warn">${anomalyText(call.anomaly)}</${Notice}>`}
  <dl class="facts call-facts">
    <${Fact} name="request_id"><span class="row tight"><code>${call.request_id}</code><${Copy} text=${call.request_id} label=${t("log.copy_id")} /></span></${Fact}>
    <${Fact} name="began">${dateTime(call.started_at)}</${Fact}>
    <${Fact} name="token"><a href=${to("/log", { token_id: call.token_id })}>${call.token_name ?? `#${call.token_id}`}</a></${Fact}>
    <${Fact} name="user">${call.username ?? `#${call.user_id}`}</${Fact}>
    <${Fact} name="group">${call.group}</${Fact}>
    <${Fact} name="route">${call.route} <span class="muted">(${call.dialect})</span></${Fact}>
    <${Fact} name="upstream">${call.upstream || t("log.no_upstream")}</${Fact}>
    <${Fact} name="address">${call.address && html`<code>${call.address}</code>`}</${Fact}>
    <${Fact} name="end_user">${call.end_user && html`<a href=${to("/log", { end_user: call.end_user })}>${call.end_user}</a>`}</${Fact}>
    <${Fact} name="tags">${call.tags && Object.entries(call.tags).map(([key, value]) => html`
      <div key=${key}><a href=${to("/log", { tag: `${key}:${value}` })}>${key}: ${value}</a></div>`)}</${Fact}>
  </dl>
  <${Attempts} attempts=${call.attempts ?? []} /><${Time} call=${call} /><${Tokens} call=${call} /><${Cost} call=${call} />`;

/** A line of facts; none where there is nothing to tell. */
function Fact({ name, children }) {
  const told = [children].flat().some((each) => each !== null && each !== undefined && each !== false && each !== "");
  return told && html`<dt>${t(`log.fact.${name}`)}</dt><dd>${children}</dd>`;
}

/** Each try at an upstream, where the first was not enough. */
const Attempts = ({ attempts }) => attempts.length > 0 && html`<section class="call-part"><h3>${t("log.attempts")}</h3>
  <ol class="stack tight">${attempts.map(({ upstream, status, at }, n) => html`
    <li class="row" key=${n}><span class="muted tabular">${number(n + 1)}.</span><span class="break">${upstream}</span>
      <${Tag} tone=${status !== null && status < 400 ? "good" : "warn"}>${status ?? t("log.no_answer")}</${Tag}>
      <span class="muted small tabular">${clock(at)}</span></li>`)}
  </ol></section>`;

function Time({ call }) {
  const writing = call.ttfb_ms === null ? 0 : call.duration_ms - call.ttfb_ms;
  return html`<section class="call-part"><h3>${t("log.time_head")}</h3><dl class="facts call-facts">
    <${Fact} name="first">${call.ttfb_ms !== null && duration(call.ttfb_ms)}</${Fact}>
    <${Fact} name="took">${duration(call.duration_ms)}</${Fact}>
    <${Fact} name="speed">${writing > 0 && call.output_tokens > 0 && t("log.per_second", { n: number(Math.round((call.output_tokens * 1000) / writing)) })}</${Fact}>
  </dl></section>`;
}

const Tokens = ({ call }) => html`<section class="call-part"><h3>${t("calls.tokens")}</h3><dl class="facts call-facts tabular">
  <${Fact} name="input_tokens">${number(call.input_tokens)}</${Fact}>
  <${Fact} name="output_tokens">${number(call.output_tokens)}</${Fact}>
  ${PARTS.map((name) => call[name] > 0 && html`<${Fact} key=${name} name=${name}>${number(call[name])}</${Fact}>`)}
</dl></section>`;

const Cost = ({ call }) => html`<section class="call-part"><h3>${t("calls.cost")}</h3><dl class="facts call-facts tabular">
  <${Fact} name="amount">${usd(call.usd)} <span class="muted">${t("log.units", { n: number(call.quota) })}</span></${Fact}>
  <${Fact} name="correction">${call.correction_nusd !== 0 && nusd(call.correction_nusd)}</${Fact}>
  <${Fact} name="unbilled">${call.unbilled_nusd > 0 && nusd(call.unbilled_nusd)}</${Fact}>
  <${Fact} name="estimated">${call.estimated && t("log.estimated")}</${Fact}>
  <${Fact} name="price">${call.price_version === 0 ? t("log.no_price") : String(call.price_version)}</${Fact}>
</dl></section>`;
