// Ready-made code that calls the gateway: for the key that was just made, and for the page of endpoints.

/** The environment variable that code reads the key from where none is given. */
export const KEY_VARIABLE = "TOLLHOUSE_KEY";

// In JSON, JavaScript, TOML and Python such a text is written the same.
export const quoted = (text) => JSON.stringify(text);
export const forShell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
export const inPython = (key) => (key === undefined ? `os.environ[${quoted(KEY_VARIABLE)}]` : quoted(key));
export const pythonHead = (key) => (key === undefined ? "import os\n\n" : "");
const inNode = (key) => (key === undefined ? `process.env.${KEY_VARIABLE}` : quoted(key));
const bearer = (key) => (key === undefined ? `"Authorization: Bearer $${KEY_VARIABLE}"` : forShell(`Authorization: Bearer ${key}`));

const curl = ({ origin, key, model }) => `curl ${forShell(`${origin}/v1/chat/completions`)} \\
  -H ${bearer(key)} \\
  -H 'Content-Type: application/json' \\
  -d ${forShell(`{"model": ${quoted(model)}, "messages": [{"role": "user", "content": "Hello"}]}`)}`;

const openaiPython = ({ origin, key, model }) => `# pip install openai
${pythonHead(key)}from openai import OpenAI

client = OpenAI(
    base_url=${quoted(`${origin}/v1`)},
    api_key=${inPython(key)},
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
  apiKey: ${inNode(key)},
});
const answer = await client.chat.completions.create({
  model: ${quoted(model)},
  messages: [{ role: "user", content: "Hello" }],
});
console.log(answer.choices[0].message.content);`;

const anthropicPython = ({ origin, key, model }) => `# pip install anthropic
${pythonHead(key)}from anthropic import Anthropic

client = Anthropic(
    base_url=${quoted(origin)},
    api_key=${inPython(key)},
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

/** A base URL without what SDKs of some dialects add themselves. */
export const originOf = (baseUrl) => baseUrl.replace(/\/+$/, "").replace(/\/v1$/, "");

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
 * `baseUrl` is the gateway's, with or without `/v1`: the SDKs disagree on whether that belongs to it. Without a `key` it is
 * read from the environment.
 */
export function snippets({ baseUrl, key, model }) {
  const origin = originOf(baseUrl);
  return MAKERS.map(([name, language, make]) => ({ name, language, text: make({ origin, key, model }) }));
}
