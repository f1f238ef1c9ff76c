// What stands before the console: signing in, becoming a user, and what links in e-mails lead to.

import { currentLanguage, has, LANGUAGES, loadArea, t } from "./core/messages.js";
import { prefer } from "./core/preferences.js";
import { useSession } from "./core/session.js";
import { html, useEffect, useState } from "./core/view.js";
import { Brand } from "./frame.js";
import { Forgot } from "./gate/forgot.js";
import { Link } from "./gate/links.js";
import { OwnPassword } from "./gate/own_password.js";
import { Register } from "./gate/register.js";
import { SignIn } from "./gate/sign_in.js";
import { Loading, Segments } from "./ui/basics.js";

const DOORS = { sign_in: SignIn, register: Register, forgot: Forgot };

/** `link` is that of the address, `leave` forgets it. */
export function Gate({ link, leave }) {
  const [ready, setReady] = useState(has("gate.forgot"));
  useEffect(() => {
    loadArea("gate").then(() => setReady(true));
  }, []);
  return html`<main class="gate"><${Brand} />
    <div class="card">${ready ? html`<${Door} link=${link} leave=${leave} />` : html`<${Loading} />`}</div>
    <div class="gate-foot"><${Segments} label=${t("language")} value=${currentLanguage()} options=${Object.entries(LANGUAGES)}
      onChange=${(value) => prefer("language", value)} /></div>
  </main>`;
}

function Door({ link, leave }) {
  const { self } = useSession();
  const [door, setDoor] = useState("sign_in");
  const open = (name) => {
    leave();
    setDoor(name);
  };
  if (link) return html`<${Link} key=${link.secret} link=${link} open=${open} />`;
  if (self) return html`<${OwnPassword} />`;
  return html`<${DOORS[door]} key=${door} open=${open} />`;
}
