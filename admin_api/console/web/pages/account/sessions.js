// Where one is signed in.

import { useAnswer } from "../../core/answers.js";
import { api } from "../../core/api.js";
import { t } from "../../core/messages.js";
import { html, useEffect, useState } from "../../core/view.js";
import { Button, Tag, When } from "../../ui/basics.js";
import { Question, tell } from "../../ui/dialogs.js";
import { Table } from "../../ui/table.js";

const PATH = "/api/user/self/session";

export function Sessions() {
  const answer = useAnswer((signal) => api.get(PATH, {}, { signal }), []);
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    addEventListener("sessions-changed", answer.reload);
    return () => removeEventListener("sessions-changed", answer.reload);
  }, []);
  const end = (session) => api.delete(`${PATH}/${session.id}`).then(answer.reload, tell);
  const endOthers = async () => {
    const ended = await api.delete(PATH);
    answer.reload();
    tell(t("account.sessions_ended", { count: ended }));
  };
  const others = answer.data?.some((each) => !each.current);
  const columns = [
    { name: "where", title: t("account.browser"), head: true, cell: (row) => html`
      <span title=${row.user_agent}>${browserOf(row.user_agent)}</span>${" "}
      ${row.current && html`<${Tag} tone="good">${t("account.this_session")}</${Tag}>`}` },
    { name: "address", title: t("account.address"), cell: (row) => row.address ?? "–" },
    { name: "seen", title: t("account.seen"), cell: (row) => html`<${When} at=${row.seen_time} />` },
    { name: "created", title: t("account.signed_in"), cell: (row) => html`<${When} at=${row.created_time} />` },
    { name: "actions", title: t("actions"), actions: true, cell: (row) => !row.current && html`
      <${Button} size="small" onClick=${() => end(row)} label=${t("account.end_session_of", { browser: browserOf(row.user_agent) })}>
        ${t("account.end_session")}</${Button}>` },
  ];
  return html`
    <section aria-label=${t("account.sessions")}>
      <div class="row spread section-head"><h2>${t("account.sessions")}</h2>
        ${others && html`<${Button} size="small" onClick=${() => setAsked(true)}>${t("account.end_others")}</${Button}>`}</div>
      <${Table} label=${t("account.sessions")} columns=${columns} answer=${answer} />
    </section>
    ${asked && html`<${Question} title=${t("account.end_others")} action=${t("account.end_others")} act=${endOthers}
      onClose=${() => setAsked(false)}>
      <p>${t("account.end_others_text")}</p></${Question}>`}`;
}

// The first sign that is there decides: Edge says that it is Chrome, too, and Chrome that it is Safari.
const BROWSERS = [
  ["Edg/", "Edge"], ["OPR/", "Opera"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"], ["curl/", "curl"],
];
const SYSTEMS = [
  ["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS X", "macOS"], ["Linux", "Linux"],
];

/** What a User-Agent says in few words. */
export function browserOf(agent) {
  const found = (table) => table.find(([sign]) => agent.includes(sign))?.[1];
  return [found(BROWSERS), found(SYSTEMS)].filter(Boolean).join(" · ") || agent.slice(0, 40) || t("account.unknown_browser");
}
