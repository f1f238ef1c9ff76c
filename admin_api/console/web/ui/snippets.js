// Ready-made code that calls the gateway: for the key that was just made, and for the page of endpoints.

// In JSON, JavaScript and Python such a text is written the same.
const quoted = (text) => JSON.stringify(text);
const forShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;

const curl = ({ origin, key, model }) => `curl ${forShell(`${origin}/v1/chat/completions`)} \\
  -H ${forShell(`Authorization: Bearer ${key}`)} \\
  -H 'Content-Type: application/json' \\
  -d ${forShell(`{"model": ${quoted(model)}, "messages": [{"role": "user", "content": "Hello"}]}`)}`;

const openaiPython = ({ origin, key, model }) => `# pip install openai
from openai import OpenAI

client = OpenAI(
    base_url=${quoted(`${origin}/v1`)},
    api_key=${quoted(key)},
)
answer = client.chat.completions.create(
    model=${quoted(model)},
    messages=[{"role": "user", "content": "Hello"}],
)
print(answer.choices[0].message.content)`;

const openaiNode = ({ origin, key, model }) => `// npm install openai
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: ${quoted(`${origin}/v1`)},
  apiKey: ${quoted(key)},
});
const answer = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: "user", content: "Hello" }],
});
console.log(answer.choices[0].message.content);`;

const anthropicPython = ({ origin, key, model }) => `# pip install anthropic
from anthropic import Anthropic

client = Anthropic(
    base_url=${quoted(origin)},
    api_key=${quoted(key)},
)
message = client.messages.create(
    model=${quoted(model)},
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello"}],
)
print(message.content[0].text)`;

const envFile = ({ origin, key }) => `OPENAI_BASE_URL=${origin}/v1
OPENAI_API_KEY=${key}
ANTHROPIC_BASE_URL=${origin}
ANTHROPIC_API_KEY=${key}`;

const MAKERS = [
  ["curl", "shell", curl],
  ["openai-python", "python", openaiPython],
  ["openai-node", "javascript", openaiNode],
  ["anthropic-python", "python", anthropicPython],
  [".env", "shell", envFile],
];

/**
 * [{name, language, text}] of code that calls `model` with `key`. They are names of SDKs and so the same in every language.
 *
 * `baseUrl` is the gateway's, with or without `/v1`: the SDKs disagree on whether that belongs to it.
 */
export function snippets({ baseUrl, key, model }) {
  const origin = baseUrl.replace(/\/+$/, "").replace(/\/v1$/, "");
  return MAKERS.map(([name, language, make]) => ({ name, language, text: make({ origin, key, model }) }));
}
