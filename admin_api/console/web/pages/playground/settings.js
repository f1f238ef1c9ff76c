import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html, useId } from "../../core/view.js";
import { Fold, Select, Text } from "../../ui/form.js";

const KEY_STATES = { 2: "playground.disabled", 3: "playground.expired", 4: "playground.exhausted" };

const keyText = ({ name, key, status }) =>
  [name, `…${key.slice(-4)}`, status in KEY_STATES && t(KEY_STATES[status])].filter(Boolean).join(" · ");

/** With which key, of which model, and how. A model may be typed, too: the gateway says what it thinks of it. */
export function Settings({ keys, chosen, names, settings, onChange, onKey, onModel }) {
  const list = useId();
  return html`<section class="card stack" aria-label=${t("playground.settings")}>
    <${Select} label=${t("playground.key")} value=${`${chosen.id}`} options=${keys.map((each) => [`${each.id}`, keyText(each)])} onChange=${onKey}
      hint=${html`<a href=${to(`/keys/${chosen.id}/why`, { model: settings.model })}>${t("playground.why_key")}</a>`} />
    <${Text} label=${t("playground.model")} value=${settings.model} onInput=${onModel} list=${list} autocomplete="off" spellcheck=${false} class="mono"
      hint=${names.length === 0 ? t("playground.no_models") : undefined} />
    <datalist id=${list}>${names.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    <${Fold} title=${t("playground.more")} open=${matchMedia("(min-width: 861px)").matches}>
      <${Text} label=${t("playground.system")} lines=${3} value=${settings.system} onInput=${(system) => onChange({ system })} />
      <div class="two">
        <${Text} label=${t("playground.temperature")} type="number" min="0" max="2" step="0.1" inputmode="decimal" placeholder=${t("playground.default")}
          value=${settings.temperature} onInput=${(temperature) => onChange({ temperature })} />
        <${Text} label=${t("playground.max_tokens")} type="number" min="1" step="1" inputmode="numeric" placeholder=${t("playground.default")}
          value=${settings.maxTokens} onInput=${(maxTokens) => onChange({ maxTokens })} />
      </div>
    </${Fold}>
    <p class="muted small">${t("playground.rules")}</p>
  </section>`;
}
