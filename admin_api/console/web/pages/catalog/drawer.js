import { number } from "../../core/format.js";
import { has, t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Button, Notice, Segments, Tag, When } from "../../ui/basics.js";
import { Fold, Select, Text } from "../../ui/form.js";
import { Facts, useFound } from "../../ui/entries.js";
import { EntryDrawer, useEntryForm } from "../../ui/entry_form.js";
import { Few, Names } from "../../ui/names.js";
import { BOUNDS, bodyOf, draftOf, draftOfPrice } from "./fields.js";
import { MAIN, OTHERS, priceRows } from "./prices.js";
import { Published } from "./published.js";
import { groupsWith } from "./reach.js";
import { Tiers } from "./tiers.js";

/** Sets a model up, or changes `entry`; one that is served or in the price book, but not set up, is set up by it. */
export function ModelDrawer({ entry, name = "", groups, onClose, onSaved }) {
  const form = useEntryForm({ path: "/api/model", entry, draftOf, bodyOf, first: name ? { name } : {}, onSaved });
  return html`
    <${EntryDrawer} form=${form} title=${entry?.name ?? t("catalog.add")} where="[[models]]" onClose=${onClose}>
      ${entry ? html`<${Present} model=${entry} groups=${groups} form=${form} />`
        : html`<${Text} hint=${t("catalog.name_hint")} required ...${form.field("name", t("catalog.name"))} />`}
      ${!form.readOnly && html`<div><${Segments} label=${t("catalog.kind")} value=${form.draft.stands}
        onChange=${(stands) => form.set({ stands })}
        options=${[[false, t("catalog.own")], [true, t("catalog.stands")]]} /></div>`}
      ${form.draft.stands ? html`<${Members} form=${form} />` : html`<${Own} form=${form} />`}
      ${entry?.prices.length > 0 && html`<${Past} prices=${entry.prices} />`}
    </${EntryDrawer}>`;
}

/** What holds now, and who has it. */
function Present({ model, groups, form }) {
  const { effective } = model;
  const within = groupsWith(model, groups);
  const offered = form.creating && !form.readOnly && effective?.price;
  return html`
    <section class="card stack tight">
      <h3>${t("catalog.in_force")}</h3>
      ${!effective?.price && !model.members && html`<${Notice} tone="warn">${t("catalog.no_price_text")}</${Notice}>`}
      <${Facts} rows=${[
        ...(effective?.price ? priceRows(effective.price) : []),
        effective?.price && [t("catalog.price"), t(`catalog.from.${effective.price_source}`)],
        effective?.max_input_tokens && [t("catalog.max_input_tokens"), tokens(effective.max_input_tokens)],
        !model.members && [t("catalog.upstreams"), html`<${Few} names=${model.upstreams} most=${8} empty=${t("catalog.nobody")} />`],
        [t("catalog.groups"), html`<${Few} names=${within} most=${8} empty=${t("catalog.nobody")} />`],
      ]} />
      ${offered && html`<div><${Button} size="small" icon="edit"
        onClick=${() => form.set(draftOfPrice(effective))}>${t("catalog.begin_with")}</${Button}></div>`}
    </section>`;
}

const tokens = (count) => html`<span class="tabular">${t("catalog.tokens", { count, shown: number(count) })}</span>`;

function Members({ form }) {
  const { options, onType } = useFound("/api/model");
  return html`<${Names} ...${form.list("members", t("catalog.members"))} hint=${t("catalog.members_hint")} ordered
    options=${options.filter((each) => each !== form.draft.name)} onType=${onType} />`;
}

const Own = ({ form }) => html`
  <fieldset class="stack tight">
    <legend>${t("catalog.prices")}</legend>
    <p class="muted small">${t("catalog.prices_text")}</p>
    <div class="grid narrow">${MAIN.map((kind) => html`<${Price} key=${kind} form=${form} name=${`${kind}_usd_per_mtok`}
      label=${t(`catalog.kind.${kind}`)} />`)}</div>
    ${form.of("model") && html`<${Notice} tone="bad" live>${t("catalog.both")}</${Notice}>`}
  </fieldset>
  ${!form.readOnly && html`<${Published} name=${form.draft.name} take=${(published) => form.set(draftOfPrice(published))} />`}
  <${Fold} title=${t("catalog.other_prices")}
    open=${[...OTHERS.map((kind) => `${kind}_usd_per_mtok`), "request_usd"].some((each) => form.draft[each] !== "")}>
    <div class="grid narrow">
      ${OTHERS.map((kind) => html`<${Price} key=${kind} form=${form} name=${`${kind}_usd_per_mtok`} label=${t(`catalog.kind.${kind}`)} />`)}
      <${Price} form=${form} name="request_usd" label=${t("catalog.request_usd")} />
    </div>
  </${Fold}>
  <${Tiers} form=${form} />
  <${Bounds} form=${form} />`;

const Price = ({ form, name, label }) => html`
  <${Text} inputmode="decimal" unit=${t("entries.usd")} ...${form.field(name, label)} />`;

const FIELDS = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

const Bounds = ({ form: { draft, set, of, field, readOnly } }) => html`
  <${Fold} title=${t("catalog.bounds")} open=${[...BOUNDS, "max_output_field", "hides_output"].some(of)}>
    <p class="muted small">${t("catalog.bounds_text")}</p>
    <div class="grid">
      ${BOUNDS.map((name) => html`<${Text} key=${name} inputmode="numeric" placeholder=${t("entries.default")}
        ...${field(name, t(`catalog.${name}`))}
        hint=${has(`catalog.${name}_hint`) ? t(`catalog.${name}_hint`) : undefined}
        unit=${t(name === "bytes_per_token" ? "entries.bytes" : "entries.tokens")} />`)}
      <${Select} label=${t("catalog.max_output_field")} value=${draft.max_output_field} mistake=${of("max_output_field")}
        disabled=${readOnly}
        options=${[["", t("catalog.by_route")], ...FIELDS.map((each) => [each, each])]}
        onChange=${(max_output_field) => set({ max_output_field })} />
      <${Select} label=${t("catalog.hides_output")} hint=${t("catalog.hides_output_hint")} value=${String(draft.hides_output)}
        disabled=${readOnly}
        options=${["null", "true", "false"].map((each) => [each, t(`catalog.hides_output.${each}`)])}
        onChange=${(given) => set({ hides_output: { true: true, false: false }[given] ?? null })} />
    </div>
  </${Fold}>`;

/** What it cost before: bills name the number of the price that they were made with. */
const Past = ({ prices }) => html`
  <${Fold} title=${t("catalog.past", { count: prices.length })}>
    <ol class="stack tight">
      ${prices.map((each) => html`
        <li key=${each.version} class="card stack tight">
          <div class="row spread">
            <${When} at=${each.created_time} /><${Tag}>${t("catalog.price_number", { number: each.version })}</${Tag}>
          </div>
          <${Facts} rows=${priceRows(each.price)} />
        </li>`)}
    </ol>
  </${Fold}>`;
