// What all forms before the console have.

import { Failure } from "../core/api.js";
import { clock, relative } from "../core/format.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useEffect, useRef } from "../core/view.js";
import { Button, Notice, Problem } from "../ui/basics.js";
import { SentForm } from "../ui/sent_form.js";

/** A form with a head; `foot` are other ways on. What else is given is `SentForm`'s. */
export function Form({ title, text, foot, children, ...rest }) {
  const head = useRef();
  useEffect(() => {
    document.title = `${title} · Tollhouse`;
    // A form to be filled begins at its first empty field, another one at its head.
    const field = head.current.closest(".stack").querySelector("input:placeholder-shown:not([type=hidden])");
    (field ?? head.current).focus({ preventScroll: true });
  }, [title]);
  return html`<div class="stack">
    <div><h1 tabindex="-1" ref=${head}>${title}</h1>${text && html`<p class="muted">${text}</p>`}</div>
    <${SentForm} told=${(failure) => html`<${Refused} failure=${failure} />`} ...${rest}>${children}</${SentForm}>
    ${foot && html`<div class="ways">${foot}</div>`}
  </div>`;
}

/** A way to another form. */
export const Way = ({ act, children }) => html`<button type="button" class="way" onClick=${act}>${children}</button>`;

const SENTENCES = { invalid_login: "gate.wrong", user_disabled: "gate.disabled" };

/** Why the door stays shut, and when to try again. */
export function Refused({ failure }) {
  const { code, retryAfter } = failure;
  if (code === "too_many_attempts" && retryAfter) {
    const at = Date.now() / 1000 + Number(retryAfter);
    const values = { at: clock(at), seconds: retryAfter, relative: relative(at) };
    return html`<${Notice} tone="bad" live>${t(retryAfter < 120 ? "gate.too_many" : "gate.too_many_long", values)}</${Notice}>`;
  }
  return code in SENTENCES
    ? html`<${Notice} tone="bad" live>${t(SENTENCES[code])}</${Notice}>`
    : html`<${Problem} failure=${failure} />`;
}

/** Something is done; `action` leads on. */
export const Done = ({ title, text, action, act }) => html`<div class="stack">
  <h1 tabindex="-1">${title}</h1>
  <${Notice} tone="good" live>${text}</${Notice}>
  <div><${Button} tone="primary" onClick=${act}>${action}</${Button}></div>
</div>`;

/** Ways in without a password; `invite`, where there is one, comes along. */
export function Providers({ invite }) {
  const { status } = useSession();
  const providers = status.oidc_providers ?? [];
  if (!providers.length) return null;
  return html`<div class="stack tight">
    ${providers.map(({ name, login_url: url }) => html`
      <a class="button" key=${url} href=${invite ? `${url}?${new URLSearchParams({ invite })}` : url}>${t("gate.sign_in_with", { name })}</a>`)}
    <div class="or"><span>${t("gate.or")}</span></div>
  </div>`;
}

/** Raised where a log-in was right and the browser kept no cookie of it. */
export class NoSession extends Failure {
  constructor() {
    super({ status: 0, code: "no_session", message: "" });
  }
}

/** Signs in with what `log_in()` did; raises `NoSession`. */
export async function arrive(refresh) {
  if ((await refresh()) === null) throw new NoSession();
}
