import { t } from "../core/messages.js";
import { html } from "../core/view.js";
import { Notice, Snippet } from "../ui/basics.js";
import { Way } from "./parts.js";

/**
 * A log-in was right, and the next call knew nobody: browsers drop the session's cookie, whose name begins with `__Host-`, where
 * a page came over plain http, but from their own machine.
 */
export function CookieDropped({ again }) {
  const port = location.port || "80";
  return html`<div class="stack">
    <h1 tabindex="-1">${t("gate.dropped")}</h1>
    ${isSecureContext
      ? html`<${Notice} tone="warn" live>${t("gate.dropped_cookies")}</${Notice}>`
      : html`
        <${Notice} tone="warn" live>${t("gate.dropped_http")}</${Notice}>
        <ol class="steps">
          <li>${t("gate.dropped_tunnel")}
            <${Snippet} text=${`ssh -L ${port}:127.0.0.1:${port} ${location.hostname}`} />
            <a href=${`http://127.0.0.1:${port}/`}>${`http://127.0.0.1:${port}/`}</a></li>
          <li>${t("gate.dropped_https", { setting: "admin.public_url" })}</li>
          <li>${t("gate.dropped_private", { setting: "admin.insecure_http = true" })}</li>
        </ol>`}
    <div class="ways"><${Way} act=${again}>${t("try_again")}</${Way}></div>
  </div>`;
}
