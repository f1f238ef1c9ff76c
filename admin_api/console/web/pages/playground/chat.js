// One call of the playground: what is sent, and what becomes of the answer.

import { Failure, failureOf } from "../../core/api.js";
import { eventsOf } from "../../core/events.js";

/** What the gateway, or a provider behind it, answered in the place of an answer: its own message and code. */
export class Refusal extends Failure {
  constructor(status, { message, code, type } = {}, retryAfter = null) {
    super({ status, code: code ?? type ?? `${status}`, message: message ?? "", retryAfter });
  }
}

/** The body for what was said so far; fields that are empty are left out. */
export function bodyOf({ model, system, temperature, maxTokens }, said) {
  const messages = said.filter(({ text }) => text).map(({ role, text }) => ({ role, content: text }));
  if (system) messages.unshift({ role: "system", content: system });
  const body = { model, messages, stream: true, stream_options: { include_usage: true } };
  if (temperature !== "") body.temperature = Number(temperature);
  if (maxTokens !== "") body.max_tokens = Number(maxTokens);
  return body;
}

/**
 * Sends it, and calls `told(part)` with parts of {text, requestId, firstMs, usage, finish}. Resolves to whether the answer came to
 * its end; raises `Refusal` and `Failure`, also in the middle of a stream.
 */
export async function call(tokenId, body, told, signal) {
  const begun = performance.now();
  const response = await fetch(`/api/token/${tokenId}/playground`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal,
  });
  told({ requestId: response.headers.get("X-Gateway-Request-Id") || undefined });
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) throw await declined(response);
  for await (const data of eventsOf(response.body)) {
    if (data === "[DONE]") return true;
    const part = partOf(JSON.parse(data), response.status);
    if (part.text) part.firstMs = performance.now() - begun;
    told(part);
  }
  return false;
}

function partOf(event, status) {
  if (event.error) throw new Refusal(status, event.error);
  const choice = event.choices?.[0];
  const part = {};
  if (choice?.delta?.content) part.text = choice.delta.content;
  if (choice?.finish_reason) part.finish = choice.finish_reason;
  if (event.usage) part.usage = event.usage;
  return part;
}

async function declined(response) {
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    return new Refusal(response.status, { message: text.slice(0, 400) });
  }
  if (answer.success === false) return failureOf(response, answer);
  return new Refusal(response.status, answer.error, response.headers.get("Retry-After"));
}
