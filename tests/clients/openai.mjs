// The official Node SDK: what it got is printed as one JSON object.
import OpenAI from 'openai';

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 2 });
const messages = [{ role: 'user', content: 'Hello there' }];
const weather = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: {} } },
};

async function failure(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code };
  }
}

const whole = await client.chat.completions.create({ model: 'm', messages, tools: [weather] });
let streamed = '';
const stream = await client.chat.completions.create({ model: 'm', messages, stream: true });
for await (const chunk of stream) streamed += chunk.choices[0]?.delta?.content ?? '';

console.log(JSON.stringify({
  whole: whole.choices[0].message.content,
  tokens: whole.usage.total_tokens,
  streamed,
  repeated: (await client.chat.completions.create({ model: 'twice', messages })).id !== undefined,
  models: (await client.models.list()).data.map((model) => model.id),
  cut: await failure((async () => {
    for await (const _ of await client.chat.completions.create({ model: 'cut', messages, stream: true }));
  })()),
  stranger: await failure(new OpenAI({ baseURL, apiKey: 'sk-wrong' }).models.list()),
}));
