// What can be pointed at the gateway, and the text that does it.
//
// Where the facts are from: docs.claude.com "LLM gateway" (Claude Code), developers.openai.com/codex "Configuration
// reference", googleapis.github.io/python-genai (`HttpOptions.base_url`), docs.openwebui.com "Environment variables".

import { isLoopback } from "../../core/addresses.js";
import { forShell, inPython, KEY_VARIABLE, originOf, pythonHead, quoted, snippets } from "../../ui/snippets.js";

const gemini = ({ origin, model }) => `# pip install google-genai
${pythonHead()}from google import genai
from google.genai import types

client = genai.Client(
    api_key=${inPython()},
    http_options=types.HttpOptions(base_url=${quoted(origin)}),
)
answer = client.models.generate_content(model=${quoted(model)}, contents="Hello")
print(answer.text)`;

// The second model is for what Claude Code does beside the conversation; its own choice may not be served here.
const claudeCode = ({ origin, model }) => `unset ANTHROPIC_API_KEY
export ANTHROPIC_BASE_URL=${forShell(origin)}
export ANTHROPIC_AUTH_TOKEN="$${KEY_VARIABLE}"
export ANTHROPIC_MODEL=${forShell(model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${forShell(model)}
claude`;

const codex = ({ origin, model }) => `# ~/.codex/config.toml
model = ${quoted(model)}
model_provider = "tollhouse"

[model_providers.tollhouse]
name = "Tollhouse"
base_url = ${quoted(`${origin}/v1`)}
env_key = ${quoted(KEY_VARIABLE)}
wire_api = "responses"`;

const cursor = ({ origin, model }) => `OpenAI API Key              sk-…
Override OpenAI Base URL    ${origin}/v1
Add custom model            ${model}`;

// A container has a loopback of its own; the gateway's is reached through the host's network.
const openWebUI = ({ origin }) => `docker run -d --name open-webui \\
  ${isLoopback(new URL(origin).hostname) ? "--network=host -e PORT=3000" : "-p 3000:8080"} \\
  -v open-webui:/app/backend/data \\
  -e OPENAI_API_BASE_URL=${forShell(`${origin}/v1`)} \\
  -e OPENAI_API_KEY="$${KEY_VARIABLE}" \\
  ghcr.io/open-webui/open-webui:main`;

const common = (name) => (wanted) => snippets(wanted).find((each) => each.name === name).text;

/** [name, title, dialect, make, note]: titles are names, the same in every language; a note is a key of endpoints.note. */
export const TOOLS = [
  ["openai-python", "OpenAI · Python", "openai", common("openai-python")],
  ["openai-node", "OpenAI · Node", "openai", common("openai-node")],
  ["anthropic", "Anthropic · Python", "anthropic", common("anthropic-python"), "anthropic"],
  ["gemini", "Gemini · Python", "gemini", gemini, "gemini"],
  ["curl", "curl", "openai", common("curl")],
  ["claude-code", "Claude Code", "anthropic", claudeCode, "anthropic"],
  ["codex", "Codex", "openai", codex, "codex"],
  ["cursor", "Cursor", "openai", cursor, "cursor"],
  ["open-webui", "Open WebUI", "openai", openWebUI, "open_webui"],
];

/** The text for a tool; the key is read from the environment. */
export const textOf = ([, , , make], baseUrl, model) => make({ baseUrl, origin: originOf(baseUrl), model });
