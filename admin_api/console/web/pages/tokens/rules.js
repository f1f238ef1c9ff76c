// The rules of a key that its group may have, too: models, addresses, limits, calls at once.

import { judge, linesOf, mistakesOf } from "../../core/network.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { classes, html } from "../../core/view.js";
import { Button } from "../../ui/basics.js";
import { Field, Text } from "../../ui/form.js";
import { Icon } from "../../ui/icons.js";
import { Limits, limitText } from "../../ui/limits.js";
import { Names } from "../../ui/names.js";
import { once } from "../../core/once.js";
import { Rule, unseen } from "./fields.js";

/** What the group says, where the key says nothing: names by commas, or that there is no such rule. */
const listed = (values, none) => (values?.length ? values.join(", ") : none);

/** `inherited` is what the group says of each rule; null while that is not known. */
export function Models({ draft, change, offered, inherited, mistake }) {
  const said = inherited ? listed(inherited.models, t("tokens.all_of_group")) : t("tokens.group_decides");
  return html`
    <${Rule} label=${t("tokens.models_own")} own=${draft.models !== null} inherited=${said}
      onOwn=${(own) => change({ models: own ? [] : null })}>
      <${Names} label=${unseen(t("tokens.models_own"))} value=${draft.models ?? []} options=${offered} mistake=${mistake}
        placeholder=${t("tokens.find_model")} hint=${t(draft.models?.length ? "tokens.models_hint" : "tokens.models_none")}
        onChange=${(models) => change({ models })} />
    </${Rule}>`;
}

export function Addresses({ draft, change, inherited, mistake }) {
  const { self } = useSession();
  const allow = draft.allow === null ? inherited?.allow_ips ?? [] : linesOf(draft.allow);
  const deny = draft.deny === null ? inherited?.deny_ips ?? [] : linesOf(draft.deny);
  return html`
    <${Blocks} name="allow" draft=${draft} change=${change} inherited=${inherited} mistake=${mistake("allow", "allow_ips")} />
    <${Blocks} name="deny" draft=${draft} change=${change} inherited=${inherited} mistake=${mistake("deny", "deny_ips")} />
    ${self.address && html`<${Own} address=${self.address} verdict=${judge(self.address, { allow, deny })} />`}`;
}

function Blocks({ name, draft, change, inherited, mistake }) {
  const wrong = draft[name] === null ? [] : mistakesOf(draft[name]);
  const said = inherited ? listed(inherited[`${name}_ips`], t(`tokens.block_none.${name}`)) : t("tokens.group_decides");
  return html`
    <${Rule} label=${t(`tokens.block_title.${name}`)} own=${draft[name] !== null} inherited=${said}
      onOwn=${(own) => change({ [name]: own ? "" : null })}>
      <${Text} label=${unseen(t(`tokens.block_title.${name}`))} class="mono" lines=${3} spellcheck="false" placeholder="203.0.113.0/24"
        value=${draft[name] ?? ""} hint=${t(`tokens.block_hint.${name}`)}
        mistake=${wrong.length ? wrong.slice(0, 3).map(blockText).join(" ") : mistake} onInput=${(text) => change({ [name]: text })} />
    </${Rule}>`;
}

const blockText = ({ wrong, ...values }) => t(`tokens.block_wrong.${wrong}`, values);

const Own = ({ address, verdict }) => verdict && html`
  <div class=${classes("verdict", verdict === "allowed" ? "good" : "bad")} role="status">
    <${Icon} name=${verdict === "allowed" ? "done" : "warning"} />${t(`tokens.you_are.${verdict}`, { address })}
  </div>`;

// What people ask for most.
const PRESETS = ["5h", "1d", "7d"];
const preset = (window) => ({
  metric: "requests", window, mode: "sliding", limit: "", burst: null, models: null, time_zone: "UTC", shadow: false, key: once(),
});
const isPreset = (window) => (limit) => limit.metric === "requests" && limit.window === window && limit.mode !== "calendar";

export function Bounds({ draft, change, offered, inherited, failure }) {
  const said = inherited ? listed(inherited.limits.map(limitText), t("tokens.limits_none")) : t("tokens.group_decides");
  const missing = PRESETS.filter((window) => !draft.limits?.some(isPreset(window)));
  const add = (window) => change({ limits: [...(draft.limits ?? []), preset(window)] });
  return html`
    <${Rule} label=${t("tokens.limits_own")} own=${draft.limits !== null} inherited=${said}
      onOwn=${(own) => change({ limits: own ? [] : null })}>
      <${Limits} label=${unseen(t("tokens.limits_own"))} value=${draft.limits ?? []} models=${offered}
        mistakes=${failure?.errors ?? []} onChange=${(limits) => change({ limits })} />
    </${Rule}>
    ${missing.length > 0 && html`<div class="row"><span class="muted small">${t("tokens.requests_in")}</span>
      ${missing.map((window) => html`
        <${Button} size="small" icon="plus" key=${window} onClick=${() => add(window)}>
          ${t(`limits.window.${window}.sliding`)}</${Button}>`)}
    </div>`}`;
}

export function AtOnce({ draft, change, inherited, mistake }) {
  const most = inherited?.max_concurrency;
  const said = inherited ? (most ? number(most) : t("tokens.at_once_none")) : t("tokens.group_decides");
  return html`
    <${Rule} label=${t("tokens.at_once")} own=${draft.concurrency !== null} inherited=${said}
      onOwn=${(own) => change({ concurrency: own ? "" : null })}>
      <${Field} label=${unseen(t("tokens.at_once"))} hint=${t("tokens.at_once_hint")} mistake=${mistake}>
        ${(attributes) => html`<input ...${attributes} inputmode="numeric" value=${draft.concurrency ?? ""}
          onInput=${(event) => change({ concurrency: event.target.value })} />`}
      </${Field}>
    </${Rule}>`;
}
