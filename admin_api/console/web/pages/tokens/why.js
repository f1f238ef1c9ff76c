// Why refused? What would become of a call with a key, check by check: nothing is sent, and nothing spent.

import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { caseText, has, learnRefusals, t } from "../../core/messages.js";
import { refine, to, usePlace } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { classes, html, useEffect, useId, useState } from "../../core/view.js";
import { Answered, Button, Notice, Page, Problem, Tag } from "../../ui/basics.js";
import { Check, Field, Fold, Select, Text } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { Status } from "./columns.js";
import { Figures } from "./figures.js";

const PATHS = ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/models"];

export default function Why({ id }) {
  const token = useAnswer((signal) => api.get(`/api/token/${id}`, {}, { signal }), [id]);
  const groups = useAnswer((signal) => api.get("/api/user/self/groups", {}, { signal }), []);
  return html`
    <${Page} title=${t("tokens.why")} text=${t("tokens.why_text")}
      actions=${html`<a class="button" href=${to("/keys")}><${Icon} name="left" />${t("page.tokens")}</a>`}>
      <${Answered} answer=${token}>${(data) => groups.loading && !groups.data ? null : html`
        <div class="row why-key">
          <strong class="break">${data.name}</strong><code class="muted">${data.key.replace(/\*+/, "…")}</code>
          <${Status} status=${data.status} /><${Tag}>${data.group}</${Tag}>
        </div>
        <${Ask} token=${data} offered=${groups.data?.[data.group]?.models ?? []} />`}
      </${Answered}>
    </${Page}>`;
}

/** The call that is asked about; it stands in the address, but for its body, which is what somebody has said. */
function Ask({ token, offered }) {
  const { self } = useSession();
  const { query } = usePlace();
  const first = (token.effective.models ?? offered)[0] ?? "";
  const [call, setCall] = useState({
    model: query.get("model") ?? first, ip: query.get("ip") ?? self.address ?? "", stream: query.get("stream") === "1",
    max_tokens: query.get("max_tokens") ?? "", input_tokens: query.get("input_tokens") ?? "", path: query.get("path") ?? PATHS[0],
    body: "",
  });
  const [found, setFound] = useState(null);
  const { busy, failure, run } = useSending();
  const change = (changes) => setCall((before) => ({ ...before, ...changes }));
  const ask = () => run(async () => {
    const { body, ...told } = call;
    refine({ ...told, stream: call.stream ? "1" : "", path: call.path === PATHS[0] ? "" : call.path });
    const [answer] = await Promise.all([api.post(`/api/token/${token.id}/explain`, bodyOf(call)), learnRefusals()]);
    setFound(answer);
  });
  useEffect(() => { ask(); }, []);
  const submit = (event) => {
    event.preventDefault();
    ask();
  };
  return html`
    <div class="why">
      <form class="card stack" onSubmit=${submit} aria-label=${t("tokens.call")}>
        <h2>${t("tokens.call")}</h2>
        <${Model} value=${call.model} offered=${offered} mistake=${failure?.of?.("model")} onInput=${(model) => change({ model })} />
        <${Text} label=${t("tokens.from_address")} hint=${t("tokens.from_address_hint")} value=${call.ip} mistake=${failure?.of?.("ip")}
          onInput=${(ip) => change({ ip })} />
        <${More} call=${call} change=${change} failure=${failure} />
        <${Problem} failure=${failure} />
        <${Button} type="submit" tone="primary" busy=${busy}>${t("tokens.ask")}</${Button}>
      </form>
      <div class="stack" aria-live="polite">${found && html`<${Found} found=${found} token=${token} />`}</div>
    </div>`;
}

const isPlain = (call) => !call.stream && !call.max_tokens && !call.input_tokens && call.path === PATHS[0];

const More = ({ call, change, failure }) => html`
  <${Fold} title=${t("tokens.call_more")} open=${!isPlain(call)}>
    <${Select} label=${t("tokens.path")} value=${call.path} options=${[...new Set([...PATHS, call.path])].map((path) => [path, path])}
      onChange=${(path) => change({ path })} />
    ${["max_tokens", "input_tokens"].map((name) => html`
      <${Text} key=${name} label=${t(`tokens.of_call.${name}`)} inputmode="numeric" value=${call[name]} mistake=${failure?.of?.(name)}
        onInput=${(text) => change({ [name]: text })} />`)}
    <${Check} label=${t("tokens.stream")} checked=${call.stream} onChange=${(stream) => change({ stream })} />
    <${Text} label=${t("tokens.of_call.body")} hint=${t("tokens.of_call.body_hint")} class="mono" lines=${4} spellcheck="false"
      value=${call.body} mistake=${failure?.of?.("body")} onInput=${(body) => change({ body })} />
  </${Fold}>`;

function bodyOf({ model, ip, stream, max_tokens, input_tokens, path, body }) {
  if (body.trim()) return { path, ip: ip.trim() || undefined, body };
  const count = (text) => (text.trim() === "" ? undefined : Number.isInteger(Number(text)) ? Number(text) : text);
  return {
    path, method: path === "/v1/models" ? "GET" : "POST", model: model || undefined, ip: ip.trim() || undefined,
    stream: stream || undefined, max_tokens: count(max_tokens), input_tokens: count(input_tokens),
  };
}

function Model({ value, offered, mistake, onInput }) {
  const list = useId();
  return html`
    <${Field} label=${t("tokens.model")} mistake=${mistake}>
      ${(attributes) => html`
        <input ...${attributes} list=${list} value=${value} autocomplete="off" spellcheck="false"
          onInput=${(event) => onInput(event.target.value)} />
        <datalist id=${list}>${offered.map((name) => html`<option value=${name} />`)}</datalist>`}
    </${Field}>`;
}

function Found({ found, token }) {
  const denied = found.decision.result === "deny" ? found.decision : null;
  return html`
    ${denied ? html`<${Refused} check=${denied} token=${token} />` : html`
      <${Notice} tone="good"><strong>${t("tokens.would_pass")}</strong> ${t("tokens.would_pass_text")}</${Notice}>`}
    <section class="card"><h2>${t("tokens.checks")}</h2>
      <ol class="checks">${found.checks.map((check) => html`<${Checked} key=${check.check} check=${check} />`)}</ol>
    </section>
    <${Figures} found=${found} />`;
}

/** The first rule that refuses, in words, and what can be done. */
const Refused = ({ check, token }) => html`
  <${Notice} tone="bad">
    <strong>${reasonText(check)}</strong> <span class="break">${caseText(check)}</span>
    <p class="small">${remedyText(check)}</p>
    ${check.rule?.of === "token" && html`<p><a href=${to("/keys", { edit: token.id })}>${t("tokens.edit_key")}</a></p>`}
  </${Notice}>`;

const reasonText = ({ reason }) => (has(`tokens.reason.${reason}`) ? t(`tokens.reason.${reason}`) : t("tokens.would_be_refused"));

/** What helps, told for a page: by the rule and whose it is, or by the rule alone. */
function remedyText({ rule, remedy }) {
  const name = rule.inherited ? "inherited" : rule.name || rule.of;
  const known = [`${rule.of}.${name}`, name].find((each) => has(`tokens.remedy.${each}`));
  return known ? t(`tokens.remedy.${known}`, { group: rule.group ?? "" }) : remedy;
}

/** What a check that could not be asked would have needed; else what its caller would be told. */
function messageOf(check) {
  if (check.shadow) return t("tokens.in_the_shadow", { told: check.shadow.map(caseText).join(" ") });
  return check.result === "skipped" ? t(`tokens.skipped.${check.case}`, check.params) : caseText(check);
}

const DRAWN = { allow: "done", deny: "close", skipped: "more" };

function Checked({ check }) {
  return html`
    <li class=${classes("check-line", check.result)}>
      <${Icon} name=${DRAWN[check.result]} />
      <div><span>${has(`tokens.check.${check.check}`) ? t(`tokens.check.${check.check}`) : check.check}</span>
        ${check.message && html`<div class="small muted break">${messageOf(check)}</div>`}
        ${check.retry_after_s !== undefined && html`
          <div class="small muted">${t("tokens.retry_after", { seconds: number(Math.ceil(check.retry_after_s)) })}</div>`}</div>
      <span class="small muted nowrap">${t(`tokens.result.${check.result}`)}</span>
    </li>`;
}
