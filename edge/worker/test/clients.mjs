// What the official clients for Node read of a proxy: node clients.mjs URL, with jobs as JSON on the standard input.
//
// A job is {client, what, prompt}; the answers, in the order of the jobs, are {text, finish, usage, error, ...}.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";
import { text as readAll } from "node:stream/consumers";

const [baseURL] = process.argv.slice(2);
const openai = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
const vercel = createOpenAICompatible({ name: "edgewise", baseURL, includeUsage: true })("auto");

const parameters = {
  type: "object",
  properties: { city: { type: "string" }, day: { type: "string" } },
  required: ["city", "day"],
};

const asked = (prompt) => ({ model: "auto", messages: [{ role: "user", content: prompt }] });
const options = (prompt) => ({ model: vercel, prompt, maxRetries: 0, onError: () => undefined });

const CLIENTS = {
  openai: {
    async whole({ prompt }) {
      const { choices, usage } = await openai.chat.completions.create(asked(prompt));
      return { text: choices[0].message.content, finish: choices[0].finish_reason, total: usage.total_tokens };
    },
    async stream({ prompt }) {
      const stream = openai.chat.completions.stream({ ...asked(prompt), stream_options: { include_usage: true } });
      const { choices, usage } = await stream.finalChatCompletion();
      return { text: choices[0].message.content, finish: choices[0].finish_reason, total: usage.total_tokens };
    },
    async tools({ prompt }) {
      const tools = [{ type: "function", function: { name: "weather", parameters } }];
      const { choices } = await openai.chat.completions.stream({ ...asked(prompt), tools }).finalChatCompletion();
      const [call] = choices[0].message.tool_calls;
      return { finish: choices[0].finish_reason, tool: call.function.name, input: JSON.parse(call.function.arguments) };
    },
    async models() {
      const { data } = await openai.models.list();
      return { models: data.map(({ id }) => id) };
    },
  },
  ai: {
    async whole({ prompt }) {
      const { text, finishReason, usage } = await generateText(options(prompt));
      return { text, finish: finishReason, total: usage.totalTokens };
    },
    async stream({ prompt }) {
      const answer = streamText(options(prompt));
      let text = "";
      for await (const part of answer.fullStream) {
        if (part.type === "error") throw part.error;
        if (part.type === "text-delta") text += part.text;
      }
      return { text, finish: await answer.finishReason, total: (await answer.usage).totalTokens };
    },
    async tools({ prompt }) {
      const tools = { weather: tool({ inputSchema: jsonSchema(parameters) }) };
      const answer = streamText({ ...options(prompt), tools });
      await answer.consumeStream();
      const [call] = await answer.toolCalls;
      return { finish: await answer.finishReason, tool: call.toolName, input: call.input };
    },
  },
};

const answers = [];
for (const job of JSON.parse(await readAll(process.stdin))) {
  try {
    answers.push(await CLIENTS[job.client][job.what](job));
  } catch (error) {
    answers.push({ error: error.message ?? String(error), status: error.status ?? error.statusCode });
  }
}
console.log(JSON.stringify(answers));
