// The frame around every page: side bar, who is signed in, and the page of the present place.

import { currentLanguage, LANGUAGES, loadArea, sentenceOf, t } from "./core/messages.js";
import { prefer, preference } from "./core/preferences.js";
import { place, to, usePlace } from "./core/route.js";
import { useSession } from "./core/session.js";
import { classes, html, useEffect, useState } from "./core/view.js";
import { pageOf, PAGES } from "./pages.js";
import { Unverified } from "./gate/unverified.js";
import { Button, Empty, Loading, Menu, Notice } from "./ui/basics.js";
import { Icon } from "./ui/icons.js";

const PARTS = ["work", "own", "administration"];
const THEMES = [["", "theme_system"], ["light", "theme_light"], ["dark", "theme_dark"]];

export function Frame() {
  const { status } = useSession();
  const here = usePlace();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [here.path]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector("h1")?.focus(); }}>${t("skip")}</a>
    <div class="frame">
      <header class="top"><${Brand} /><${Button} tone="quiet" icon=${open ? "close" : "menu"} label=${t("menu")}
        aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)} /></header>
      <aside class=${classes("side", open && "open")}><${Brand} /><${Sections} here=${here} /><${Foot} /></aside>
      <main id="main">
        ${status.notice && html`<${Notice}>${status.notice}</${Notice}>`}
        <${StillHere} />
        <${Unverified} />
        <${Present} here=${here} />
      </main>
    </div>`;
}

/** Why another sign-in failed, to whoever is signed in still. */
function StillHere() {
  const { self, refused, forgetRefused } = useSession();
  return refused && html`<${Notice} tone="bad" live>${sentenceOf(refused)} ${t("still_signed_in", { name: self.display_name })}${" "}
    <${Button} size="small" onClick=${forgetRefused}>${t("close")}</${Button}></${Notice}>`;
}

export function Brand() {
  const { status } = useSession();
  return html`<a class="brand" href=${to("/")}>
    ${status.logo ? html`<img src=${status.logo} alt="" />` : html`<${Icon} name="brand" />`}${status.system_name}
  </a>`;
}

function Sections({ here }) {
  const { may } = useSession();
  const seen = PAGES.filter((page) => page.icon && (!page.permission || may(page.permission)));
  const shown = pageOf(here)?.page;
  const present = shown?.icon ? shown.path : shown?.below;
  return html`<nav aria-label=${t("pages")}>
    ${PARTS.map((part) => {
      const pages = seen.filter((page) => page.part === part);
      return pages.length > 0 && html`
        ${part !== "work" && html`<h2>${t(`part.${part}`)}</h2>`}
        ${pages.map((page) => html`<a key=${page.path} href=${to(page.path)} aria-current=${page.path === present ? "page" : undefined}>
          <${Icon} name=${page.icon} />${t(`page.${page.area}`)}</a>`)}`;
    })}
  </nav>`;
}

const choice = (name, value, text, chosen) => ({ icon: chosen ? "done" : name, text, act: () => prefer(name, value) });

function Foot() {
  const { self, signOut } = useSession();
  return html`<footer>
    <div class="row spread">
      <${Menu} label=${t("theme")} icon="theme" above
        items=${THEMES.map(([value, key]) => choice("theme", value, t(key), value === (preference("theme") ?? "")))} />
      <${Menu} label=${t("language")} icon="language" above
        items=${Object.entries(LANGUAGES).map(([value, text]) => choice("language", value, text, value === currentLanguage()))} />
      <${Button} tone="quiet" size="small" icon="signOut" label=${t("sign_out")} onClick=${signOut} />
    </div>
    <div class="small muted break">${t("signed_in_as", { name: self.display_name })}</div>
  </footer>`;
}

/** The page of the place, once its code and its texts are here. */
function Present({ here }) {
  const { may } = useSession();
  const found = pageOf(here);
  const [made, setMade] = useState({});
  const page = found?.page;
  useEffect(() => {
    if (!page) return;
    Promise.all([page.make(), loadArea(page.area)]).then(
      ([module]) => setMade({ page, Shown: module.default }),
      (failure) => setMade({ page, failure }),
    );
  }, [page]);
  if (!page || (page.permission && !may(page.permission))) {
    return html`<${Empty} icon="search" title=${t("no_page")}><a href=${to("/")}>${t("page.dashboard")}</a></${Empty}>`;
  }
  if (made.page !== page) return html`<${Loading} lines=${6} />`;
  if (made.failure) {
    // After an update of the server, what this page was made of is no longer there.
    return html`<${Empty} icon="refresh" title=${t("page_outdated")}>
      <${Button} tone="primary" onClick=${() => location.reload()}>${t("reload")}</${Button}></${Empty}>`;
  }
  return html`<${made.Shown} key=${page.path + JSON.stringify(found.names)} query=${place().query} ...${found.names} />`;
}
