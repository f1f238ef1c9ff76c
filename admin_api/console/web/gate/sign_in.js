import { api } from "../core/api.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useState } from "../core/view.js";
import { Text } from "../ui/form.js";
import { CookieDropped } from "./cookie_dropped.js";
import { arrive, Form, NoSession, Providers, Refused, Way } from "./parts.js";

export function SignIn({ open }) {
  const { refresh, refused, status } = useSession();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [dropped, setDropped] = useState(false);
  const send = async () => {
    await api.post("/api/user/login", { username: name, password });
    try {
      await arrive(refresh);
    } catch (failure) {
      if (!(failure instanceof NoSession)) throw failure;
      setDropped(true);
    }
  };
  if (dropped) return html`<${CookieDropped} again=${() => setDropped(false)} />`;
  return html`
    <${Form} title=${t("sign_in")} action=${t("sign_in")} send=${send} before=${html`${refused && html`<${Refused} failure=${refused} />`}<${Providers} />`} foot=${html`
      ${status.mail
        ? html`<${Way} act=${() => open("forgot")}>${t("gate.forgot")}</${Way}>`
        : html`<span class="muted small">${t("gate.forgot_no_mail")}</span>`}
      ${status.registration !== "closed" && html`<${Way} act=${() => open("register")}>${t(`gate.register_${status.registration}`)}</${Way}>`}`}>
      ${() => html`
        <${Text} label=${t("username")} value=${name} onInput=${setName}
          autocomplete="username" required placeholder=" " autocapitalize="none" spellcheck=${false} />
        <${Text} label=${t("password")} type="password" value=${password} onInput=${setPassword}
          autocomplete="current-password" required />`}
    </${Form}>`;
}
