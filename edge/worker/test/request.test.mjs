import assert from "node:assert/strict";
import { test } from "node:test";
import { compiled } from "./support.mjs";

const { readRequest } = await compiled("request");

const user = (content) => ({ role: "user", content });
const EMPTY = {
  id: "",
  maxOutputTokens: 0,
  region: "",
  budget: 0n,
  latencySloMs: 0,
  tier: "unset",
  tenant: "",
  needs: {},
  objective: "unset",
  session: "",
  sessionModel: "",
  cachedTokens: 0,
  model: "",
  stream: false,
  atMs: 0n,
};

test("a text is one user message, and everything else is unset", () => {
  assert.deepEqual(readRequest({ text: "hello" }), { ...EMPTY, messages: [user("hello")] });
});

test("every field arrives in the contract's units", () => {
  const request = readRequest({
    messages: [{ role: "system", content: "be brief", name: "ignored" }, user("hi")],
    id: "r1",
    max_tokens: 500,
    region: "eu-west",
    budget_usd: 0.0025,
    latency_slo_ms: 800,
    tier: "pro",
    tenant: "t",
    needs: ["tools", "live_retrieval"],
    objective: "quality",
    session: "s",
    session_model: "gpt-4o",
    cached_tokens: 1200,
    at_ms: 1782000160896,
  });
  assert.deepEqual(request, {
    messages: [{ role: "system", content: "be brief" }, user("hi")],
    id: "r1",
    maxOutputTokens: 500,
    region: "eu-west",
    budget: 2_500_000_000n,
    latencySloMs: 800,
    tier: "pro",
    tenant: "t",
    needs: {
      tools: true,
      json: false,
      vision: false,
      audio: false,
      liveRetrieval: true,
      guarded: false,
      private: false,
    },
    objective: "quality",
    session: "s",
    sessionModel: "gpt-4o",
    cachedTokens: 1200,
    model: "",
    stream: false,
    atMs: 1782000160896n,
  });
});

test("a budget too small to count is still a budget", () => {
  const budgets = [0, 1e-13, 1e-12, 2.5e-12].map((budget_usd) => readRequest({ text: "a", budget_usd }).budget);
  assert.deepEqual(budgets, [1n, 1n, 1n, 2n]);
});

test("null stands for nothing", () => {
  const request = readRequest({ messages: [{ role: "user", content: null }], id: null, needs: null, budget_usd: null });
  assert.deepEqual(request, { ...EMPTY, messages: [user("")] });
});

test("content in parts becomes text, tool turns and needs", () => {
  const request = readRequest({
    messages: [
      {
        role: "user",
        content: [
          {
            type: "tool_result",
            content: [
              { type: "text", text: "a" },
              { type: "text", text: "b" },
            ],
          },
          { type: "text", text: "what" },
          { type: "image_url", image_url: { url: "data:..." } },
          { type: "input_audio", input_audio: {} },
          "now",
        ],
      },
      { role: "function", content: "42" },
    ],
    needs: ["json"],
  });
  assert.deepEqual(request.messages, [
    { role: "tool", content: "a\nb" },
    user("what\nnow"),
    { role: "tool", content: "42" },
  ]);
  const { json, vision, audio, tools } = request.needs;
  assert.deepEqual([json, vision, audio, tools], [true, true, true, false]);
});

const WRONG = [
  ["hi", null, /write a request as a JSON object/],
  [{}, "messages", /missing; a request is/],
  [{ text: "a", messages: [] }, null, /either text or messages, not both/],
  [{ messages: [] }, "messages", /empty; give at least one message/],
  [
    { messages: [{ role: "wizard", content: "x" }] },
    "messages[0].role",
    /'system', 'developer', 'user', 'assistant' or 'tool'/,
  ],
  [{ messages: [user("x"), user(5)] }, "messages[1].content", /valid string/],
  [{ text: "a\ud800" }, "messages[0].content", /character 1 is a lone surrogate/],
  [{ text: "😀😀\0" }, "messages[0].content", /character 2 is NUL/],
  [{ text: "a", id: "\udc00" }, "id", /character 0 is a lone surrogate/],
  [{ text: "a", budget_usd: -0.01 }, "budget_usd", /greater than or equal to 0/],
  [{ text: "a", budget_usd: 2e6 }, "budget_usd", /less than or equal to 1000000/],
  [{ text: "a", budget_usd: Infinity }, "budget_usd", /finite/],
  [{ text: "a", max_tokens: 1.5 }, "max_tokens", /valid integer, got a number with a fractional part/],
  [{ text: "a", max_tokens: "5" }, "max_tokens", /Input should be a number/],
  [{ text: "a", budget_usd: true }, "budget_usd", /Input should be a number/],
  [{ text: "a", max_tokens: 2 ** 31 }, "max_tokens", /less than or equal to 2147483647/],
  [{ text: "a", latency_slo_ms: -1 }, "latency_slo_ms", /greater than or equal to 0/],
  [{ text: "a", tier: "gold" }, "tier", /'unset', 'free', 'pro' or 'enterprise'/],
  [{ text: "a", needs: ["json", "taste"] }, "needs[1]", /or 'private'/],
  [{ text: "a", needs: "json" }, "needs", /Input should be/],
  [{ text: "a", temperature: 1 }, "temperature", /unknown; the fields of a request are messages, id/],
];

for (const [data, param, message] of WRONG) {
  test(`${JSON.stringify(data)} is refused`, () =>
    assert.throws(() => readRequest(data), { status: 400, param, message }));
}
