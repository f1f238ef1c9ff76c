import { api } from "../core/api.js";
import { t } from "../core/messages.js";
import { html, useState } from "../core/view.js";
import { Text } from "../ui/form.js";
import { Done, Form, Way } from "./parts.js";

export function Forgot({ open }) {
  const [email, setEmail] = useState("");
  const [sent, setSent] = useState(false);
  const send = async () => {
    await api.post("/api/user/reset", { email });
    setSent(true);
  };
  if (sent) {
    // Whether anybody has the address is not told.
    return html`<${Done} title=${t("gate.look_into_mail")} text=${t("gate.reset_sent", { email })}
      action=${t("gate.back")} act=${() => open("sign_in")} />`;
  }
  return html`
    <${Form} title=${t("gate.forgot_title")} text=${t("gate.forgot_text")} action=${t("gate.send_link")} send=${send} fields=${["email"]}
      foot=${html`<${Way} act=${() => open("sign_in")}>${t("gate.back")}</${Way}>`}>
      ${(failure) => html`<${Text} label=${t("gate.email")} type="email" value=${email} onInput=${setEmail} autocomplete="email" required maxlength="254"
        mistake=${failure?.of?.("email")} placeholder=" " />`}
    </${Form}>`;
}
