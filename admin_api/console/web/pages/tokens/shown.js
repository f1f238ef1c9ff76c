// A key in full, this once: to be copied, stored and tried. Nothing of it is kept anywhere in the page.

import { reachable } from "../../core/addresses.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useRef, useState } from "../../core/view.js";
import { Button, Copy, Notice, Segments, Snippet } from "../../ui/basics.js";
import { Drawer } from "../../ui/dialogs.js";
import { Filter } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { snippets } from "../../ui/snippets.js";

/**
 * `tokens` have their whole `key`. `kept` says that it can be revealed again; else closing asks whether it is stored.
 *
 * `models` are those that the key may call, for code that is ready to be run.
 */
export function Shown({ title, tokens, models, kept, onClose }) {
  const [asked, setAsked] = useState(false);
  const stored = useRef();
  const ask = () => {
    if (kept) return onClose();
    setAsked(true);
    return stored.current?.focus();
  };
  const leave = (event) => {
    if (kept || asked) return onClose();
    event.preventDefault();
    return ask();
  };
  const one = tokens.length === 1;
  return html`
    <${Drawer} title=${title} keep onClose=${ask} foot=${html`
      <div class="grow" role="status">${asked && html`<strong>${t("tokens.stored_question")}</strong>`}</div>
      <button type="button" class="button primary" ref=${stored} onClick=${onClose}>${kept ? t("close") : t("tokens.stored")}</button>`}>
      ${tokens.flatMap((token) => token.warnings ?? []).slice(0, 1).map((warning) => html`<${Notice} tone="warn">${warning}</${Notice}>`)}
      ${one ? html`<${Whole} text=${tokens[0].key} />` : html`<${Several} tokens=${tokens} />`}
      <${Notice} tone=${kept ? undefined : "warn"}>${kept ? t("tokens.keep_secret") : t("tokens.shown_once")}</${Notice}>
      ${one && html`<${Ready} token=${tokens[0]} models=${models} leave=${leave} />`}
    </${Drawer}>`;
}

const Whole = ({ text }) => html`
  <div class="whole-key">
    <code aria-label=${t("tokens.key")}>${text}</code><${Copy} text=${text} words size="" label=${t("tokens.copy_key")} />
  </div>`;

function Several({ tokens }) {
  const all = tokens.map(({ name, key }) => `${name}\t${key}`).join("\n");
  return html`
    <div class="row"><${Copy} text=${all} words size="" label=${t("tokens.copy_all")} /></div>
    <ul class="secrets">${tokens.map(({ id, name, key }) => html`
      <li key=${id}>
        <div class="row spread">
          <strong class="break">${name}</strong><span><${Copy} text=${key} label=${t("tokens.copy_of", { name })} /></span>
        </div>
        <code class="break">${key}</code>
      </li>`)}</ul>`;
}

const choices = (names) => names.map((name) => [name, name]);

/** Code with the key in it, and a way to try it here. */
function Ready({ token, models, leave }) {
  const { status } = useSession();
  const [model, setModel] = useState(models[0] ?? "");
  const made = snippets({ baseUrl: reachable(status.openai_base_url).url, key: token.key, model: model || "MODEL" });
  const [name, setName] = useState(made[0].name);
  return html`
    <section class="stack tight">
      <h3>${t("tokens.ready_made")}</h3>
      <div class="row spread">
        <${Segments} label=${t("tokens.ready_made")} value=${name} onChange=${setName} wrap
          options=${choices(made.map((each) => each.name))} />
        ${models.length > 1 && html`
          <${Filter} label=${t("tokens.model")} value=${model} options=${choices(models)} onChange=${setModel} />`}
      </div>
      <${Snippet} text=${made.find((each) => each.name === name).text} />
    </section>
    <section class="stack tight">
      <h3>${t("tokens.try_it")}</h3>
      <p class="muted">${t("tokens.try_it_text")}</p>
      <div class="row">
        <a class="button" href=${to("/playground", { token_id: token.id })} onClick=${leave}>
          <${Icon} name="play" />${t("tokens.test_it")}</a>
        <a class="button quiet" href=${to("/endpoints")} onClick=${leave}><${Icon} name="endpoints" />${t("page.endpoints")}</a>
      </div>
    </section>`;
}
