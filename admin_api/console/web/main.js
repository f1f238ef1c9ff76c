// The console begins here: what this installation is, who is signed in, and then the frame or the gate.

import { api, onSignedOut } from "./core/api.js";
import { setMoney } from "./core/format.js";
import { forgetLink, readLink, takeRefusal } from "./core/link.js";
import { languageOf, learnRefusals, speak } from "./core/messages.js";
import { apply, onPreference } from "./core/preferences.js";
import { readSelf, Session } from "./core/session.js";
import { html, render, useEffect, useState } from "./core/view.js";
import { Frame } from "./frame.js";
import { Gate } from "./gate.js";
import { Toasts } from "./ui/dialogs.js";

async function begin() {
  apply();
  const refusal = takeRefusal();
  const [status, self] = await Promise.all([api.get("/api/status"), readSelf()]);
  setMoney(status.quota_per_unit, status.currency);
  const opens = self && !self.password_change_required && !readLink();
  await speak(languageOf(status.language), opens ? ["frame"] : ["frame", "gate"]);
  if (refusal) await learnRefusals();
  render(html`<${App} status=${status} first=${self} refusal=${refusal} />`, document.getElementById("app"));
}

function App({ status, first, refusal }) {
  const [self, setSelf] = useState(first);
  const [refused, setRefused] = useState(refusal);
  const [link, setLink] = useState(readLink);
  const [, setRound] = useState(0);
  useEffect(() => {
    const moved = () => setLink(readLink());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  useEffect(() => onSignedOut(() => setSelf(null)), []);
  useEffect(() => onPreference(async () => {
    const wanted = languageOf(status.language);
    if (wanted !== document.documentElement.lang.slice(0, 2)) location.reload();
    setRound((n) => n + 1);
  }), []);
  const session = {
    status, self, refused,
    forgetRefused: () => setRefused(null),
    may: (permission) => self?.permissions.includes(permission) ?? false,
    refresh: async () => {
      const now = await readSelf();
      setSelf(now);
      return now;
    },
    signOut: async () => {
      await api.post("/api/user/logout");
      setRefused(null);
      setSelf(null);
    },
  };
  const leave = () => {
    if (link) forgetLink();
    setLink(null);
  };
  const open = self && !self.password_change_required && !link;
  return html`
    <${Session.Provider} value=${session}>
      ${open ? html`<${Frame} />` : html`<${Gate} link=${link} leave=${leave} />`}
      <${Toasts} />
    </${Session.Provider}>`;
}

begin().catch((failure) => {
  const place = document.getElementById("app");
  place.textContent = `Tollhouse does not answer. Reload the page to try again. (${failure.message || failure.code})`;
  place.setAttribute("role", "alert");
});
