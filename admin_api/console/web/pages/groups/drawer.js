import { t } from "../../core/messages.js";
import { html } from "../../core/view.js";
import { Segments } from "../../ui/basics.js";
import { Fold, Select, Text } from "../../ui/form.js";
import { useFound } from "../../ui/entries.js";
import { EntryDrawer, useEntryForm } from "../../ui/entry_form.js";
import { Limits } from "../../ui/limits.js";
import { Names } from "../../ui/names.js";
import { bodyOf, draftOf } from "./fields.js";

/** Makes a group, or changes `entry`. */
export function GroupDrawer({ entry, onClose, onSaved }) {
  const form = useEntryForm({ path: "/api/group", entry, draftOf, bodyOf, onSaved });
  const models = useFound("/api/model");
  return html`
    <${EntryDrawer} form=${form} title=${entry ? entry.name : t("groups.add")} where=${`[groups.${entry?.name}]`} onClose=${onClose}>
      ${!entry && html`<${Text} hint=${t("groups.name_hint")} required ...${form.field("name", t("groups.name"))} />`}
      <${Text} hint=${t("groups.description_hint")} ...${form.field("description", t("groups.description"))} />
      <${Select} label=${t("groups.users")} value=${form.draft.users} mistake=${form.of("users")} disabled=${form.readOnly}
        hint=${t(`groups.users_hint.${form.draft.users}`)}
        options=${["assigned", "all"].map((each) => [each, t(`groups.users.${each}`)])} onChange=${(users) => form.set({ users })} />
      <${Reach} form=${form} models=${models} />
      <${Account} form=${form} models=${models} />
      <${Keys} form=${form} models=${models} />
    </${EntryDrawer}>`;
}

/** What its keys reach: models and upstreams of its own, or those of other groups. */
function Reach({ form, models }) {
  const { draft, set, of, list, field, readOnly } = form;
  const upstreams = useFound("/api/upstream");
  const groups = useFound("/api/group");
  const other = groups.options.filter((each) => each !== draft.name);
  return html`
    ${!readOnly && html`<div><${Segments} label=${t("groups.reach")} value=${draft.stands} onChange=${(stands) => set({ stands })}
      options=${[[false, t("groups.own")], [true, t("groups.stands")]]} /></div>`}
    ${draft.stands
      ? html`<${Names} ...${list("groups", t("groups.groups"))} hint=${t("groups.groups_hint")} options=${other}
        onType=${groups.onType} ordered spaces only />`
      : html`
        <${Names} ...${list("models", t("groups.models"))} mistake=${of("models") ?? noPattern(draft.models)}
          hint=${t("groups.models_hint")} options=${["*", ...models.options]} onType=${models.onType} />
        <${Names} ...${list("upstreams", t("groups.upstreams"))} hint=${t("groups.upstreams_hint")} options=${["*", ...upstreams.options]}
          onType=${upstreams.onType} />
        <${Text} hint=${t("groups.ratio_hint")} inputmode="decimal" ...${field("ratio", t("groups.ratio"))} />`}`;
}

/** A beginning such as gpt-* is for upstreams: in a group it would be the name of a model that there is not. */
function noPattern(names) {
  const name = names.find((each) => each.length > 1 && each.includes("*"));
  return name && t("groups.no_pattern", { name });
}

const ACCOUNT = ["limits", "max_concurrency", "subscription"];

/** What binds all of an account's keys in the group together. */
const Account = ({ form: { draft, set, of, field, failure, readOnly }, models }) => html`
  <${Fold} title=${t("groups.account")}
    open=${Boolean(draft.limits.length || draft.max_concurrency || draft.subscription_usd || ACCOUNT.some(of))}>
    <p class="muted small">${t("groups.account_text")}</p>
    <${Text} hint=${t("groups.subscription_hint")} inputmode="decimal" unit=${t("entries.usd")} placeholder=${t("groups.no_cap")}
      ...${field("subscription_usd", t("groups.subscription"))} mistake=${of("subscription")} />
    <${Text} inputmode="numeric" placeholder=${t("unlimited")} ...${field("max_concurrency", t("groups.max_concurrency"))} />
    <${Limits} value=${draft.limits} mistakes=${failure?.errors} models=${models.options} disabled=${readOnly}
      onChange=${(limits) => set({ limits })} />
  </${Fold}>`;

/** What holds for each key that says nothing itself. */
const Keys = ({ form: { draft, set, of, field, list, failure, readOnly }, models }) => html`
  <${Fold} title=${t("groups.keys")} open=${Boolean(draft.key_limits.length || draft.key_usd || draft.key_days || of("token_defaults"))}>
    <p class="muted small">${t("groups.keys_text")}</p>
    <div class="grid">
      <${Text} hint=${t("groups.key_usd_hint")} inputmode="decimal" unit=${t("entries.usd")} placeholder=${t("groups.nothing")}
        ...${field("key_usd", t("groups.key_usd"))} mistake=${of("token_defaults.quota_usd")} />
      <${Text} hint=${t("groups.key_days_hint")} inputmode="numeric" unit=${t("entries.days")} placeholder=${t("never")}
        ...${field("key_days", t("groups.key_days"))} mistake=${of("token_defaults.expires_in_days")} />
    </div>
    <${Names} ...${list("key_models", t("groups.key_models"))} mistake=${of("token_defaults.models")}
      placeholder=${t("groups.key_models_all")}
      options=${models.options} onType=${models.onType} />
    <${Names} ...${list("key_allow", t("groups.key_allow"))} mistake=${of("token_defaults.allow_ips")}
      placeholder=${t("groups.key_allow_all")} />
    <${Names} ...${list("key_deny", t("groups.key_deny"))} mistake=${of("token_defaults.deny_ips")}
      placeholder=${t("groups.key_deny_none")} />
    <${Text} inputmode="numeric" placeholder=${t("unlimited")} ...${field("key_concurrency", t("groups.key_concurrency"))}
      mistake=${of("token_defaults.max_concurrency")} />
    <${Limits} label=${t("groups.key_limits")} field="token_defaults.limits" value=${draft.key_limits} mistakes=${failure?.errors}
      models=${models.options} disabled=${readOnly} onChange=${(key_limits) => set({ key_limits })} />
  </${Fold}>`;
