// Who one is here: name, e-mail address, password.

import { api } from "../../core/api.js";
import { has, t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Problem, Tag } from "../../ui/basics.js";
import { tell } from "../../ui/dialogs.js";
import { Fold, Text } from "../../ui/form.js";
import { SentForm } from "../../ui/sent_form.js";
import { useSending } from "../../core/answers.js";

export function Profile() {
  const { self, refresh } = useSession();
  const [name, setName] = useState(self.display_name);
  const send = async () => {
    await api.put("/api/user/self", { display_name: name });
    await refresh();
    tell(t("saved"));
  };
  return html`
    <section class="card stack" aria-label=${t("account.profile")}>
      <h2>${t("account.profile")}</h2>
      <dl class="facts">
        <dt>${t("username")}</dt><dd>${self.username}</dd>
        <dt>${t("account.user_id")}</dt><dd class="tabular">${self.id}</dd>
        <dt>${t("account.role")}</dt><dd>${roleText(self.role)}</dd>
        <dt>${t("account.group")}</dt><dd>${self.group}</dd>
      </dl>
      <${SentForm} action=${t("save")} send=${send} fields=${["display_name"]} disabled=${name === self.display_name}>
        ${(failure) => html`<${Text} label=${t("account.display_name")} value=${name} onInput=${setName} maxlength="100"
          autocomplete="name" mistake=${failure?.of?.("display_name")} />`}
      </${SentForm}>
    </section>`;
}

const roleText = (role) => (has(`account.role.${role}`) ? t(`account.role.${role}`) : role);

export function Email() {
  const { self } = useSession();
  return html`
    <section class="card stack" aria-label=${t("account.email")}>
      <h2>${t("account.email")}</h2>
      ${self.email
        ? html`<div class="row"><span class="break">${self.email}</span>
            <${Tag} tone=${self.email_verified ? "good" : "warn"}>${t(self.email_verified ? "account.verified" : "account.not_verified")}</${Tag}></div>`
        : html`<p class="muted">${t("account.no_email")}</p>`}
      ${self.email && !self.email_verified && html`<${Verification} />`}
      <${Fold} title=${self.email ? t("account.change_email") : t("account.add_email")} key=${self.email}><${NewEmail} /></${Fold}>
    </section>`;
}

/** What a user without a verified address can do about it. */
function Verification() {
  const { status } = useSession();
  const { busy, failure, run } = useSending();
  const send = async () => {
    await api.post("/api/user/self/verify");
    tell(t("account.link_sent"));
  };
  return html`
    ${status.email_verification_required && html`<p>${t("account.verify_first")}</p>`}
    ${status.mail
      ? html`<div><${Button} icon="mail" busy=${busy} onClick=${() => run(send)}>${t("account.send_link")}</${Button}></div>`
      : html`<p class="muted">${t("account.no_mail")}</p>`}
    <${Problem} failure=${failure} />`;
}

function NewEmail() {
  const { refresh, status } = useSession();
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const send = async () => {
    await api.put("/api/user/self", { email, original_password: password });
    await refresh();
    tell(status.mail && email ? t("account.link_sent") : t("saved"));
  };
  return html`
    <${SentForm} action=${t("save")} send=${send} fields=${["email", "original_password"]}>
      ${(failure) => html`
        <${Text} label=${t("account.new_email")} type="email" value=${email} onInput=${setEmail} autocomplete="email" maxlength="254"
          hint=${t("account.email_hint")} mistake=${failure?.of?.("email")} />
        <${Text} label=${t("account.present_password")} type="password" value=${password} onInput=${setPassword} required
          autocomplete="current-password" mistake=${failure?.of?.("original_password")} />`}
    </${SentForm}>`;
}

export function Password() {
  const [present, setPresent] = useState("");
  const [password, setPassword] = useState("");
  const send = async () => {
    await api.put("/api/user/self", { original_password: present, password });
    setPresent("");
    setPassword("");
    dispatchEvent(new Event("sessions-changed"));
    tell(t("account.password_saved"));
  };
  return html`
    <section class="card stack" aria-label=${t("password")}>
      <h2>${t("password")}</h2>
      <${SentForm} action=${t("account.change_password")} send=${send} fields=${["original_password", "password"]}>
        ${(failure) => html`
          <${Text} label=${t("account.present_password")} type="password" value=${present} onInput=${setPresent} required
            autocomplete="current-password" mistake=${failure?.of?.("original_password")} />
          <${Text} label=${t("new_password")} type="password" value=${password} onInput=${setPassword} required minlength="12" maxlength="256"
            hint=${t("account.password_hint")} autocomplete="new-password" mistake=${failure?.of?.("password")} />`}
      </${SentForm}>
    </section>`;
}
