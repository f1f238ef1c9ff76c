// What was said, as it is shown. Output is text, whatever it holds.

import { api, Failure } from "../../core/api.js";
import { duration, nusd, number } from "../../core/format.js";
import { sentenceOf, t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { classes, html, useEffect, useRef, useState } from "../../core/view.js";
import { Copy, Empty, Notice } from "../../ui/basics.js";
import { Refusal } from "./chat.js";

export function Messages({ said, busy }) {
  const place = useRef();
  const following = useRef(true);
  useEffect(() => {
    if (following.current) place.current.scrollTop = place.current.scrollHeight;
  }, [said]);
  // Whoever has scrolled up to read is left there.
  const scrolled = ({ target }) => { following.current = target.scrollHeight - target.scrollTop - target.clientHeight < 40; };
  return html`<div class="messages" ref=${place} onScroll=${scrolled} tabindex="0"
    role="log" aria-label=${t("playground.conversation")} aria-busy=${busy ? "true" : "false"}>
    ${said.length === 0 && html`<${Empty} icon="chat" title=${t("playground.empty")} text=${t("playground.empty_text")} />`}
    ${said.map((each) => each.role === "user" ? html`<div class="said user" key=${each.id}><div class="text">${each.text}</div></div>`
      : html`<${Answer} key=${each.id} answer=${each} />`)}
  </div>`;
}

const Answer = ({ answer }) => html`<article class="said" aria-label=${t("playground.answer")}>
  ${(answer.text || answer.state === "writing") && html`<div class=${classes("text", answer.state === "writing" && "writing")}>${answer.text}</div>`}
  ${answer.failure ? html`<${Refused} answer=${answer} />`
    : answer.state === "cut" ? html`<${Notice} tone="bad" live>${t("playground.cut")}</${Notice}>`
    : answer.state === "stopped" ? html`<${Notice}>${t("playground.stopped")}</${Notice}>`
    : answer.finish === "length" && html`<${Notice} tone="warn">${t("playground.length")}</${Notice}>`}
  ${answer.state !== "writing" && html`<${Figures} answer=${answer} />`}
</article>`;

/** Why there is no answer, or no more of one: in the gateway's own words where they are its. */
function Refused({ answer: { failure, tokenId, model, text } }) {
  const own = failure instanceof Refusal;
  const known = own || failure instanceof Failure;
  return html`<${Notice} tone="bad" live>
    ${text && html`<p>${t("playground.cut")}</p>`}
    ${known
      ? html`<p>${own ? failure.message || t("playground.no_message") : sentenceOf(failure)}</p>`
      : !text && html`<p>${t("problem.no_answer")}</p>`}
    ${own && html`<p class="row"><code>${failure.status} ${failure.code}</code>
      ${failure.retryAfter && html`<span>${t("playground.retry_after", { seconds: failure.retryAfter })}</span>`}
      <a href=${to(`/keys/${tokenId}/why`, { model })}>${t("playground.why")}</a></p>`}
  </${Notice}>`;
}

function Figures({ answer: { text, usage, firstMs, allMs, requestId } }) {
  const row = useLogged(requestId);
  const tokens = usage && { read: number(usage.prompt_tokens ?? 0), written: number(usage.completion_tokens ?? 0) };
  return html`<div class="row small muted tabular sums">
    ${tokens && html`<span>${t("playground.tokens", tokens)}</span>`}
    ${row && html`<span>${row.estimated ? t("playground.cost_estimated", { cost: nusd(row.amount_nusd) }) : nusd(row.amount_nusd)}</span>`}
    ${firstMs !== undefined && html`<span>${t("playground.first", { time: duration(firstMs) })}</span>`}
    ${text && html`<span>${t("playground.whole", { time: duration(allMs) })}</span>`}
    ${requestId && row && html`<a href=${to("/log", { request_id: requestId })}>${t("playground.in_log")}</a>`}
    ${text && html`<${Copy} text=${text} />`}
  </div>`;
}

const LOOKS_MS = [300, 700, 1500, 3000];

/** The call's row in the log, which has it a moment after its end. */
function useLogged(requestId) {
  const [row, setRow] = useState(null);
  useEffect(() => {
    if (!requestId) return undefined;
    let timer;
    const look = async (n) => {
      const found = await api.get("/api/log", { request_id: requestId }).catch(() => null);
      if (found?.items[0]) setRow(found.items[0]);
      else if (found && n + 1 < LOOKS_MS.length) timer = setTimeout(look, LOOKS_MS[n + 1], n + 1);
    };
    timer = setTimeout(look, LOOKS_MS[0], 0);
    return () => clearTimeout(timer);
  }, [requestId]);
  return row;
}
