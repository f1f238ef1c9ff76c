// Becoming a user: by oneself, or by an invite.

import { api } from "../core/api.js";
import { inviteIn } from "../core/link.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useState } from "../core/view.js";
import { tell } from "../ui/dialogs.js";
import { Text } from "../ui/form.js";
import { CookieDropped } from "./cookie_dropped.js";
import { arrive, Form, NoSession, Providers, Way } from "./parts.js";

const FIELDS = ["username", "email", "password"];

/** `invite` is the secret of a link; without one it is asked for where nobody registers without. */
export function Register({ open, invite = "" }) {
  const { refresh, status } = useSession();
  const [given, setGiven] = useState({ username: "", email: "", password: "", invite });
  const [dropped, setDropped] = useState(false);
  const put = (name) => (value) => setGiven((before) => ({ ...before, [name]: value }));
  const send = async () => {
    const { username, email, password } = given;
    const body = given.invite ? { username, email, password, invite: inviteIn(given.invite) } : { username, email, password };
    const made = await api.post("/api/user/register", body);
    await api.post("/api/user/login", { username, password });
    if (made.email_verification_sent) tell(t("gate.registered", { email }));
    try {
      await arrive(refresh);
      open("sign_in");
    } catch (failure) {
      if (!(failure instanceof NoSession)) throw failure;
      setDropped(true);
    }
  };
  if (dropped) return html`<${CookieDropped} again=${() => open("sign_in")} />`;
  return html`
    <${Form} title=${t("gate.register")} text=${invite ? t("gate.invited") : undefined}
      action=${t("gate.register")} send=${send} fields=${FIELDS}
      before=${html`<${Providers} invite=${inviteIn(given.invite)} />`}
      foot=${html`<${Way} act=${() => open("sign_in")}>${t("gate.have_account")}</${Way}>`}>
      ${(failure) => html`
        ${!invite && status.registration === "invite" && html`
          <${Text} label=${t("gate.invite")} hint=${t("gate.invite_hint")} value=${given.invite}
          onInput=${put("invite")} required autocomplete="off" placeholder=" " />`}
        <${Text} label=${t("username")} hint=${t("gate.username_hint")} value=${given.username} onInput=${put("username")} autocomplete="username"
          required maxlength="64" autocapitalize="none" spellcheck=${false} mistake=${failure?.of?.("username")} placeholder=" " />
        <${Text} label=${t("gate.email")} type="email" value=${given.email} onInput=${put("email")} autocomplete="email" required maxlength="254"
          mistake=${failure?.of?.("email")} />
        <${Text} label=${t("password")} hint=${t("new_password_hint")} type="password" value=${given.password} onInput=${put("password")}
          autocomplete="new-password" required minlength="12" maxlength="256" mistake=${failure?.of?.("password")} />`}
    </${Form}>`;
}
