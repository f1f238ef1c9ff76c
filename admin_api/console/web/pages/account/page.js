import { currentLanguage, LANGUAGES, t } from "../../core/messages.js";
import { prefer, preference } from "../../core/preferences.js";
import { html } from "../../core/view.js";
import { Page, Segments } from "../../ui/basics.js";
import { AccessTokens } from "./access_tokens.js";
import { Email, Password, Profile } from "./profile.js";
import { Sessions } from "./sessions.js";

export default function Account() {
  return html`<${Page} title=${t("page.account")}>
    <div class="stack">
      <div class="grid account">
        <${Profile} /><${Email} /><${Password} /><${Looks} />
      </div>
      <${Sessions} />
      <${AccessTokens} />
    </div>
  </${Page}>`;
}

const Looks = () => html`
  <section class="card stack" aria-label=${t("account.looks")}>
    <h2>${t("account.looks")}</h2>
    <div class="field"><span class="label">${t("theme")}</span>
      <div><${Segments} wrap label=${t("theme")} value=${preference("theme") ?? ""} onChange=${(value) => prefer("theme", value)}
        options=${[["", t("theme_system")], ["light", t("theme_light")], ["dark", t("theme_dark")]]} /></div></div>
    <div class="field"><span class="label">${t("language")}</span>
      <div><${Segments} label=${t("language")} value=${currentLanguage()} onChange=${(value) => prefer("language", value)}
        options=${Object.entries(LANGUAGES)} /></div></div>
    <p class="muted small">${t("account.looks_text")}</p>
  </section>`;
