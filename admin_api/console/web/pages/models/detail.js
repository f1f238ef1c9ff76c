import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Button, Copy, Notice, Tag } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Facts } from "../../ui/entries.js";
import { Few } from "../../ui/names.js";
import { cost, ratioOf } from "./prices.js";

const DIALECTS = { openai: "OpenAI", anthropic: "Anthropic", gemini: "Gemini" };
const KINDS = ["input", "cached_input", "cache_write", "output"];

/** Everything that one may know of a model, with its price in each of one's groups. */
export function ModelDetail({ model, onClose }) {
  const foot = html`
    <${Button} onClick=${onClose}>${t("close")}</${Button}>
    <a class="button primary" href=${to("/endpoints", { model: model.name })}>${t("models.use")}</a>`;
  return html`
    <${Drawer} title=${t("models.one")} onClose=${onClose} foot=${foot}>
      <div class="row spread"><code class="break model-id">${model.name}</code><${Copy} text=${model.name} words /></div>
      <${Facts} rows=${[
        model.dialects.length > 0 && [t("models.dialects"),
          html`<span class="row tight">${model.dialects.map((each) => html`<${Tag}>${DIALECTS[each]}</${Tag}>`)}</span>`],
        model.max_input_tokens && [t("models.context"), t("models.tokens", { count: number(model.max_input_tokens) })],
        model.max_output_tokens && [t("models.longest"), t("models.tokens", { count: number(model.max_output_tokens) })],
        model.members && [t("models.stands_long"), html`<${Few} names=${model.members} most=${20} />`],
      ]} />
      ${model.members ? html`<${Notice}>${t("models.stands_text")}</${Notice}>`
        : model.prices.map((price) => html`<${GroupPrice} key=${price.group} price=${price} />`)}
    </${Drawer}>`;
}

function GroupPrice({ price }) {
  const priced = price.input_usd_per_mtok !== null;
  return html`
    <section class="card stack tight">
      <div class="row spread"><h3>${price.group}</h3><${Tag}>${ratioOf(price)}</${Tag}></div>
      ${priced ? html`
        <p class="muted small">${t("models.per_million")}</p>
        <${Figures} figures=${price} />
        ${price.tiers.map((tier) => html`
          <p class="muted small">${t("models.above", { count: number(tier.above_input_tokens) })}</p><${Figures} figures=${tier} />`)}`
        : html`<${Notice} tone="warn">${t("models.no_price")}</${Notice}>`}
    </section>`;
}

const Figures = ({ figures }) => html`
  <${Facts} rows=${[
    ...KINDS.map((kind) => [t(`models.${kind}`), html`<span class="tabular">${cost(figures[`${kind}_usd_per_mtok`])}</span>`]),
    figures.request_usd > 0 && [t("models.request"), html`<span class="tabular">${cost(figures.request_usd)}</span>`],
  ]} />`;
