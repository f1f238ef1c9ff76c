// Where links in e-mails lead to. Each asks before it acts, since some mailboxes follow every link by themselves.

import { api } from "../core/api.js";
import { forgetLink } from "../core/link.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useState } from "../core/view.js";
import { Notice } from "../ui/basics.js";
import { Text } from "../ui/form.js";
import { Done, Form, Refused, Way } from "./parts.js";
import { Register } from "./register.js";

/** `open(door)` leaves the link for another form, or for the console where one is signed in. */
export function Link({ link, open }) {
  const Purpose = { verify: Verify, reset: Reset, invite: Invite }[link.purpose] ?? NotWhole;
  return html`<${Purpose} secret=${link.secret} open=${open} />`;
}

const NotWhole = ({ open }) => html`<div class="stack">
  <h1>${t("gate.link")}</h1>
  <${Notice} tone="warn">${t("gate.link_not_whole")}</${Notice}>
  <div class="ways"><${Way} act=${() => open("sign_in")}>${t("go_on")}</${Way}></div>
</div>`;

function Verify({ secret, open }) {
  const { self, refresh } = useSession();
  const [done, setDone] = useState(false);
  const send = async () => {
    await api.post("/api/user/verify", { token: secret });
    forgetLink();
    setDone(true);
    if (self) await refresh();
  };
  if (done) {
    return html`<${Done} title=${t("gate.verify")} text=${t("gate.verified")}
      action=${self ? t("go_on") : t("sign_in")} act=${() => open("sign_in")} />`;
  }
  return html`
    <${Form} title=${t("gate.verify")} text=${t("gate.verify_text")} action=${t("gate.verify_yes")}
      send=${send} told=${deadLink("gate.verify_dead")}
      foot=${html`<${Way} act=${() => open("sign_in")}>${t("gate.verify_no")}</${Way}>`} />`;
}

function Reset({ secret, open }) {
  const { refresh, status } = useSession();
  const [password, setPassword] = useState("");
  const [done, setDone] = useState(false);
  const send = async () => {
    await api.put("/api/user/reset", { token: secret, password });
    forgetLink();
    setDone(true);
  };
  // It has ended all sessions, perhaps one of this browser, too.
  const goOn = async () => {
    await refresh();
    open("sign_in");
  };
  if (done) return html`<${Done} title=${t("gate.reset")} text=${t("gate.reset_done")} action=${t("sign_in")} act=${goOn} />`;
  return html`
    <${Form} title=${t("gate.reset")} text=${t("gate.reset_text")} action=${t("gate.reset_action")} send=${send} fields=${["password"]}
      told=${deadLink("gate.reset_dead")}
      foot=${status.mail && html`<${Way} act=${() => open("forgot")}>${t("gate.another_link")}</${Way}>`}>
      ${(failure) => html`<${Text} label=${t("new_password")} hint=${t("new_password_hint")} type="password" value=${password} onInput=${setPassword}
        autocomplete="new-password" required minlength="12" maxlength="256" mistake=${failure?.of?.("password")} placeholder=" " />`}
    </${Form}>`;
}

const Invite = ({ secret, open }) => html`<${Register} invite=${secret} open=${open} />`;

/** A link that works no more has a sentence of its own. */
const deadLink = (key) => (failure) => failure.code === "invalid_link"
  ? html`<${Notice} tone="bad" live>${t(key)}</${Notice}>`
  : html`<${Refused} failure=${failure} />`;
