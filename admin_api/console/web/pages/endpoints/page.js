import { reachable } from "../../core/addresses.js";
import { useAnswer } from "../../core/answers.js";
import { api } from "../../core/api.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Answered, Copy, Notice, Page, Segments, Snippet } from "../../ui/basics.js";
import { Select } from "../../ui/form.js";
import { KEY_VARIABLE } from "../../ui/snippets.js";
import { textOf, TOOLS } from "./tools.js";

/** [dialect, what its SDKs are given, header, paths]. */
const DIALECTS = [
  ["OpenAI", "/v1", "Authorization: Bearer sk-…", ["/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/embeddings"]],
  ["Anthropic", "", "x-api-key: sk-…", ["/v1/messages", "/v1/messages/count_tokens"]],
  ["Gemini", "", "x-goog-api-key: sk-…",
    ["/v1beta/models/…:generateContent", "/v1beta/models/…:streamGenerateContent"]],
];

export default function Endpoints({ query }) {
  const { status } = useSession();
  const gateway = reachable(status.gateway_url);
  const models = useAnswer((signal) => api.get("/api/user/self/models", {}, { signal }), []);
  return html`<${Page} title=${t("page.endpoints")} text=${t("endpoints.text")}>
    <div class="stack">
      ${gateway.local && html`<${Notice} tone="warn">${t("endpoints.local", { setting: "gateway.public_url" })}</${Notice}>`}
      <${Addresses} origin=${gateway.url} />
      <section class="card stack" aria-label=${t("endpoints.ready")}>
        <h2>${t("endpoints.ready")}</h2>
        <${Answered} answer=${models}>${(offered) => html`<${Ready} origin=${gateway.url} offered=${offered} query=${query} />`}</${Answered}>
      </section>
    </div>
  </${Page}>`;
}

const Addresses = ({ origin }) => html`
  <div class="grid endpoints">
    ${DIALECTS.map(([name, suffix, header, paths]) => html`
      <section class="card stack tight" key=${name} aria-label=${name}>
        <h2>${name}</h2>
        <${Line} label=${t("endpoints.base_url")} text=${origin + suffix} />
        <${Line} label=${t("endpoints.header")} text=${header} />
        <div><div class="muted small">${t("endpoints.paths")}</div>
          <ul class="small mono break">${paths.map((path) => html`<li key=${path}>${path}</li>`)}</ul></div>
      </section>`)}
  </div>
  <p class="muted small">${t("endpoints.header_text")}</p>`;

const Line = ({ label, text }) => html`
  <div><div class="muted small">${label}</div>
    <div class="row spread nowrap-row"><code class="break">${text}</code><${Copy} text=${text} label=${t("endpoints.copy", { what: label })} /></div></div>`;

function Ready({ origin, offered, query }) {
  const tool = TOOLS.find(([name]) => name === query.get("tool")) ?? TOOLS[0];
  const [, , dialect] = tool;
  const models = offered.filter(({ dialects }) => dialects.includes(dialect)).map(({ name }) => name);
  const asked = query.get("model");
  const model = models.includes(asked) ? asked : models[0] ?? "MODEL";
  const [name, title, , , note] = tool;
  return html`
    <p>${t("endpoints.key_text")} <a href=${to("/keys")}>${t("endpoints.make_key")}</a></p>
    <${Snippet} text=${`export ${KEY_VARIABLE}='sk-…'`} />
    <${Segments} wrap label=${t("endpoints.tool")} value=${name} options=${TOOLS.map(([each, words]) => [each, words])}
      onChange=${(value) => refine({ tool: value })} />
    ${models.length === 0
      ? html`<${Notice} tone="warn">${t("endpoints.no_models", { model: "MODEL" })}</${Notice}>`
      : html`<div class="narrow"><${Select} label=${t("endpoints.model")} value=${model} options=${models.map((each) => [each, each])}
          onChange=${(value) => refine({ model: value })} /></div>`}
    <section class="stack tight" aria-label=${title}>
      ${note && html`<p class="muted">${t(`endpoints.note.${note}`)}</p>`}
      <${Snippet} text=${textOf(tool, origin, model)} />
    </section>`;
}
