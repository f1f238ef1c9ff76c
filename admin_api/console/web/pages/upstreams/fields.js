// An upstream as it is typed, and as it is sent.

import { numberOf, typed } from "../../core/numbers.js";
import { objectOf } from "../../ui/pairs.js";

export const PATIENCE = ["connect_timeout_s", "first_byte_timeout_s", "idle_timeout_s", "total_timeout_s", "retry_after_budget_s"];
export const BREAKER = ["breaker_failures", "breaker_open_s", "breaker_longest_s"];
export const TRAFFIC = ["max_connections", "max_line_bytes"];
const NUMBERS = ["weight", "priority", ...PATIENCE, ...BREAKER, ...TRAFFIC];

/** `api_keys` null leaves the keys as they are. */
export function draftOf(entry) {
  const models = entry?.models ?? ["*"];
  const mapped = !Array.isArray(models);
  return {
    name: entry?.name ?? "", dialect: entry?.dialect ?? "openai", base_url: entry?.base_url ?? "",
    api_keys: entry ? null : "", allow_cidrs: entry?.allow_cidrs ?? [], headers: Object.entries(entry?.headers ?? {}),
    mapped, names: mapped ? [] : models, pairs: mapped ? Object.entries(models) : [],
    affinity: entry?.affinity ?? false, retry_unanswered: entry?.retry_unanswered ?? false,
    azure_api_version: entry?.azure_api_version ?? "", translate: entry?.translate ?? true, leave_out: entry?.leave_out ?? [], form: entry?.form ?? "chats", on_disconnect: entry?.on_disconnect ?? "abort",
    ...Object.fromEntries(NUMBERS.map((name) => [name, typed(entry?.[name])])),
  };
}

export function bodyOf(draft) {
  return {
    name: draft.name.trim(), dialect: draft.dialect, base_url: draft.base_url.trim(),
    api_keys: draft.api_keys === null ? null : draft.api_keys.split(/\s+/).filter(Boolean),
    allow_cidrs: draft.allow_cidrs, headers: objectOf(draft.headers),
    models: draft.mapped ? objectOf(draft.pairs) : draft.names,
    affinity: draft.affinity, retry_unanswered: draft.retry_unanswered,
    translate: draft.translate, leave_out: draft.leave_out, on_disconnect: draft.on_disconnect,
    ...(draft.dialect === "openai"
      ? { azure_api_version: draft.azure_api_version.trim(), form: draft.form } : { azure_api_version: "", form: "chats" }),
    ...Object.fromEntries(NUMBERS.map((name) => [name, numberOf(draft[name])])),
  };
}

/** Where providers answer, to choose from; any other address can be typed. */
export const ADDRESSES = [
  ["https://api.openai.com/v1", "OpenAI", "openai"],
  ["https://api.anthropic.com/v1", "Anthropic", "anthropic"],
  ["https://generativelanguage.googleapis.com/v1beta", "Gemini", "gemini"],
  ["https://openrouter.ai/api/v1", "OpenRouter", "openai"],
  ["https://api.deepseek.com/v1", "DeepSeek", "openai"],
  ["https://api.mistral.ai/v1", "Mistral", "openai"],
  ["https://api.groq.com/openai/v1", "Groq", "openai"],
  ["https://api.x.ai/v1", "xAI", "openai"],
  ["https://dashscope.aliyuncs.com/compatible-mode/v1", "DashScope", "openai"],
  ["https://api.moonshot.cn/v1", "Moonshot", "openai"],
  ["https://open.bigmodel.cn/api/paas/v4", "Zhipu", "openai"],
  ["https://api.siliconflow.cn/v1", "SiliconFlow", "openai"],
];
