import { api } from "../../core/api.js";
import { useAnswer, useSettled } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Button } from "../../ui/basics.js";
import { Fold } from "../../ui/form.js";
import { perMillion } from "./prices.js";

/** What providers publish for a model of this name, to begin with; nothing where none does. */
export function Published({ name, take }) {
  const wanted = useSettled(name.trim());
  const { data } = useAnswer((signal) => (wanted ? api.get("/api/price", { model: wanted }, { signal }) : Promise.resolve([])), [wanted]);
  if (!data?.length) return null;
  return html`
    <${Fold} title=${t("catalog.published", { count: data.length })}>
      <p class="muted small">${t("catalog.published_text")}</p>
      <ul class="offered">
        ${data.map((each) => html`
          <li key=${`${each.provider} ${each.model}`}>
            <div><strong>${each.provider}</strong> <code>${each.model}</code>
              <div class="muted small tabular">${t("catalog.published_price", {
                input: perMillion(each.price.input_usd_per_mtok), output: perMillion(each.price.output_usd_per_mtok),
              })}</div></div>
            <${Button} size="small" label=${t("catalog.take_price", { provider: each.provider })}
              onClick=${() => take(each)}>${t("catalog.take")}</${Button}>
          </li>`)}
      </ul>
    </${Fold}>`;
}
