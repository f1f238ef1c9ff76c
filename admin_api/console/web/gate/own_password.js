import { api } from "../core/api.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useState } from "../core/view.js";
import { Text } from "../ui/form.js";
import { Form, Way } from "./parts.js";

/** Whoever came with a one-time password chooses one of their own. */
export function OwnPassword() {
  const { refresh, signOut } = useSession();
  const [once, setOnce] = useState("");
  const [password, setPassword] = useState("");
  const send = async () => {
    await api.put("/api/user/self", { original_password: once, password });
    await refresh();
  };
  return html`<${Form} title=${t("own_password")} text=${t("own_password_text")} action=${t("go_on")} send=${send}
    fields=${["original_password", "password"]} foot=${html`<${Way} act=${signOut}>${t("sign_out")}</${Way}>`}>
    ${(failure) => html`
      <${Text} label=${t("one_time_password")} type="password" value=${once} onInput=${setOnce} autocomplete="current-password"
        mistake=${failure?.of?.("original_password")} required placeholder=" " />
      <${Text} label=${t("new_password")} hint=${t("new_password_hint")} type="password" value=${password} onInput=${setPassword}
        autocomplete="new-password" minlength="12" maxlength="256" mistake=${failure?.of?.("password")} required />`}
  </${Form}>`;
}
