// What stands before the console: signing in, and choosing one's own password after a one-time one.

import { api } from "./core/api.js";
import { t } from "./core/messages.js";
import { useSession } from "./core/session.js";
import { html, useEffect, useState } from "./core/view.js";
import { useSending } from "./core/answers.js";
import { Brand } from "./frame.js";
import { Button, Problem } from "./ui/basics.js";
import { Text } from "./ui/form.js";

export function Gate() {
  const { self } = useSession();
  return html`<main class="gate"><${Brand} />
    <div class="card">${self ? html`<${OwnPassword} />` : html`<${SignIn} />`}</div>
  </main>`;
}

function Form({ title, text, action, send, children }) {
  const { busy, failure, run } = useSending();
  useEffect(() => { document.title = `${title} · Tollhouse`; }, [title]);
  const submit = (event) => {
    event.preventDefault();
    run(send);
  };
  return html`<form class="stack" onSubmit=${submit}>
    <div><h1>${title}</h1>${text && html`<p class="muted">${text}</p>`}</div>
    ${children(failure)}
    <${Problem} failure=${failure} />
    <${Button} type="submit" tone="primary" busy=${busy}>${action}</${Button}>
  </form>`;
}

function SignIn() {
  const { refresh } = useSession();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const send = async () => {
    await api.post("/api/user/login", { username: name, password });
    await refresh();
  };
  return html`<${Form} title=${t("sign_in")} action=${t("sign_in")} send=${send}>
    ${() => html`
      <${Text} label=${t("username")} value=${name} onInput=${setName} autocomplete="username" required />
      <${Text} label=${t("password")} type="password" value=${password} onInput=${setPassword} autocomplete="current-password" required />`}
  </${Form}>`;
}

function OwnPassword() {
  const { refresh } = useSession();
  const [once, setOnce] = useState("");
  const [password, setPassword] = useState("");
  const send = async () => {
    await api.put("/api/user/self", { original_password: once, password });
    await refresh();
  };
  return html`<${Form} title=${t("own_password")} text=${t("own_password_text")} action=${t("go_on")} send=${send}>
    ${(failure) => html`
      <${Text} label=${t("one_time_password")} type="password" value=${once} onInput=${setOnce} autocomplete="current-password"
        mistake=${failure?.of?.("original_password")} required />
      <${Text} label=${t("new_password")} hint=${t("new_password_hint")} type="password" value=${password} onInput=${setPassword}
        autocomplete="new-password" minlength="12" maxlength="256" mistake=${failure?.of?.("password")} required />`}
  </${Form}>`;
}
