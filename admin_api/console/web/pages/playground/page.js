import { useAnswer } from "../../core/answers.js";
import { api } from "../../core/api.js";
import { t } from "../../core/messages.js";
import { refine, to } from "../../core/route.js";
import { html, useEffect, useState } from "../../core/view.js";
import { Answered, Button, Empty, Page } from "../../ui/basics.js";
import { useConversation } from "./conversation.js";
import { Messages } from "./messages.js";
import { Settings } from "./settings.js";

/** Keys that can be chosen: the newest of one's own, and the one that the address names. */
async function readKeys(wanted, signal) {
  const page = await api.get("/api/token", { size: 100 }, { signal });
  if (!wanted || page.items.some(({ id }) => `${id}` === wanted)) return page.items;
  const one = await api.get(`/api/token/${encodeURIComponent(wanted)}`, {}, { signal }).catch(() => null);
  return one ? [one, ...page.items] : page.items;
}

export default function Playground({ query }) {
  const wanted = query.get("token_id");
  const answer = useAnswer(async (signal) => {
    const [keys, models] = await Promise.all([readKeys(wanted, signal), api.get("/api/user/self/models", {}, { signal })]);
    return { keys, models };
  }, []);
  return html`<${Page} title=${t("page.playground")} text=${t("playground.text")}>
    <${Answered} answer=${answer} lines=${6}>${({ keys, models }) => keys.length === 0
      ? html`<div class="card"><${Empty} icon="key" title=${t("playground.no_keys")} text=${t("playground.no_keys_text")}>
          <a class="button primary" href=${to("/keys")}>${t("page.tokens")}</a></${Empty}></div>`
      : html`<${Room} keys=${keys} models=${models} query=${query} />`}</${Answered}>
  </${Page}>`;
}

/** What a key may call: what its own list names, else what its group offers. */
export function modelsOf(key, models) {
  const own = key.effective?.models ?? [];
  const offered = models.filter(({ groups, dialects }) => groups.includes(key.group) && dialects.includes("openai"));
  return own.length === 0 ? offered.map(({ name }) => name) : own;
}

function Room({ keys, models, query }) {
  const key = keys.find(({ id }) => `${id}` === query.get("token_id")) ?? keys[0];
  const names = modelsOf(key, models);
  const [given, setGiven] = useState({ system: "", temperature: "", maxTokens: "" });
  const model = query.get("model") ?? names[0] ?? "";
  const settings = { ...given, tokenId: key.id, model };
  const chat = useConversation(settings);
  return html`<div class="playground">
    <${Settings} keys=${keys} chosen=${key} names=${names} settings=${settings} onChange=${(part) => setGiven({ ...given, ...part })}
      onKey=${(id) => refine({ token_id: id, model: "" })} onModel=${(name) => refine({ model: name })} />
    <section class="card flush chat" aria-label=${t("playground.conversation")}>
      <${Messages} said=${chat.said} busy=${chat.busy} />
      <${Composer} chat=${chat} ready=${model !== ""} />
    </section>
  </div>`;
}

function Composer({ chat, ready }) {
  const [text, setText] = useState("");
  const { busy, said } = chat;
  const send = (event) => {
    event.preventDefault();
    if (busy || !ready || !text.trim()) return;
    chat.send(text);
    setText("");
  };
  const typed = (event) => {
    // An input method's Enter chooses a word.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  useEffect(() => {
    const stop = (event) => event.key === "Escape" && busy && chat.stop();
    addEventListener("keydown", stop);
    return () => removeEventListener("keydown", stop);
  }, [busy]);
  return html`<form class="composer" onSubmit=${send}>
    <textarea rows="2" aria-label=${t("playground.message")} placeholder=${t("playground.message_hint")} value=${text} onKeyDown=${typed}
      onInput=${(event) => setText(event.target.value)}></textarea>
    <div class="row spread">
      <${Button} tone="quiet" icon="trash" disabled=${said.length === 0} onClick=${chat.clear}>${t("playground.clear")}</${Button}>
      ${busy ? html`<${Button} key="stop" icon="stop" onClick=${chat.stop}>${t("playground.stop")}</${Button}>`
        : html`<${Button} key="send" type="submit" tone="primary" icon="send" disabled=${!ready || !text.trim()}>${t("playground.send")}</${Button}>`}
    </div>
  </form>`;
}
