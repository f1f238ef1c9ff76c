import { api } from "../../core/api.js";
import { useAnswer, useSending } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Answered, Button, Empty, Notice, Problem, Tag } from "../../ui/basics.js";
import { Drawer, tell } from "../../ui/dialogs.js";
import { Check, Search } from "../../ui/form.js";
import { pathOf } from "../../ui/entries.js";
import { Views } from "./views.js";

const SHOWN = 200;

/** The provider's own list of models: which of them are served here, and which have a price. */
export function OfferedDrawer({ entry, onClose, onSaved }) {
  const { may } = useSession();
  const path = `${pathOf("/api/upstream", entry.name)}/models`;
  const answer = useAnswer((signal) => api.get(path, {}, { signal }), [path, entry.version]);
  const [chosen, setChosen] = useState(new Set());
  const { busy, failure, run } = useSending();
  const writes = may("catalog.write") && entry.source === "api";
  const add = () => run(async () => {
    const { data, late } = await api.patch(pathOf("/api/upstream", entry.name), { models: modelsWith(entry.models, chosen) },
      { version: entry.version, whole: true });
    tell(t(late ? "saved_late" : "upstreams.added", { count: chosen.size }));
    setChosen(new Set());
    onSaved(data);
  });
  const foot = html`
    ${failure && html`<div class="foot-problem"><${Problem} failure=${failure} /></div>`}
    <${Button} onClick=${onClose}>${t("close")}</${Button}>
    ${writes && html`<${Button} type="submit" tone="primary" busy=${busy} disabled=${chosen.size === 0}>
      ${t(servesAll(entry.models) ? "upstreams.serve_only" : "upstreams.add_models", { count: chosen.size })}</${Button}>`}`;
  return html`
    <${Drawer} title=${entry.name} onClose=${onClose} onSubmit=${writes ? add : undefined} keep=${chosen.size > 0} foot=${foot}>
      <${Views} name=${entry.name} shown="offers" />
      ${servesAll(entry.models) && html`<${Notice}>${t("upstreams.serves_all")}</${Notice}>`}
      <${Answered} answer=${answer} lines=${8}>
        ${(offered) => html`<${Offered} offered=${offered} writes=${writes} chosen=${chosen} onChoose=${setChosen}
          all=${servesAll(entry.models)} />`}
      </${Answered}>
    </${Drawer}>`;
}

const servesAll = (models) => Array.isArray(models) && models.includes("*");

/** An upstream that serves everything serves the chosen alone from then on; one with names of our own gets equal ones. */
function modelsWith(models, chosen) {
  if (servesAll(models)) return [...chosen];
  if (Array.isArray(models)) return [...models, ...chosen];
  return { ...models, ...Object.fromEntries([...chosen].map((name) => [name, name])) };
}

function Offered({ offered, writes, chosen, onChoose, all }) {
  const [text, setText] = useState("");
  if (offered.length === 0) return html`<${Empty} icon="models" title=${t("upstreams.offers_none")} />`;
  const found = offered.filter((each) => each.name.toLowerCase().includes(text.trim().toLowerCase()));
  const choosable = found.filter((each) => all || !each.is_served);
  const choose = (names, on) => {
    const next = new Set(chosen);
    for (const name of names) on ? next.add(name) : next.delete(name);
    onChoose(next);
  };
  const every = choosable.length > 0 && choosable.every((each) => chosen.has(each.name));
  const unpriced = offered.filter((each) => !each.is_priced).length;
  return html`
    <p class="muted">${t("upstreams.offered", { count: offered.length, shown: number(offered.length), unpriced: number(unpriced) })}</p>
    <${Search} label=${t("upstreams.offers_search")} value=${text} onInput=${setText} />
    ${writes && choosable.length > 1 && html`<${Check} label=${t("upstreams.choose_found", { count: choosable.length })} checked=${every}
      onChange=${(on) => choose(choosable.map((each) => each.name), on)} />`}
    <ul class="offered">
      ${found.slice(0, SHOWN).map((each) => html`
        <li key=${each.name}>
          ${writes && (all || !each.is_served)
            ? html`<${Check} label=${each.name} checked=${chosen.has(each.name)} onChange=${(on) => choose([each.name], on)} />`
            : html`<span class="break">${each.name}</span>`}
          <${Standing} model=${each} />
        </li>`)}
    </ul>
    ${found.length > SHOWN && html`<p class="muted">${t("upstreams.offers_more", { count: found.length - SHOWN })}</p>`}`;
}

const Standing = ({ model }) => html`
  <span class="row tight">
    ${model.is_served && html`<${Tag} tone="good">${t("upstreams.served")}</${Tag}>`}
    ${!model.is_priced && html`<a class="tag warn" href=${to("/admin/models", { new: model.name })}>${t("upstreams.set_price")}</a>`}
  </span>`;
