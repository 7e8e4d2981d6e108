import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { ask, compiled, createHost, skip } from "./support.mjs";

const MODEL = "gpt-4o-mini";

/** Long enough that the monitor, which holds the first tokens back, lets the client read some of it. */
const STORY = [
  "Once there was a keeper of a lighthouse who rose before dawn and lit the lamp himself.",
  " Ships far out counted its flashes, and children in the village set their clocks by them.",
  " In winter he read old letters; in spring he painted the railing white, then green, then white again.",
  " Nobody had ever seen him leave, though a small blue boat lay ready under the stairs.",
  " One evening the lamp stayed dark, and a stranger with a suitcase knocked at his door,",
];

/** An upstream that answers with what a test scripts, and keeps what it was sent. */
class Upstream {
  bodies = [];
  script = () => undefined;
  #server = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    this.bodies.push(JSON.parse(body));
    await this.script(response, this.bodies.length);
  });

  async start() {
    await new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.#server.address().port}/v1`;
    return this;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const chunk = (choice) => `data: ${JSON.stringify({ id: "x", choices: [{ index: 0, delta: {}, ...choice }] })}\n\n`;
const say = (content, index = 0) => chunk({ index, delta: { content } });
const end = (index = 0) => chunk({ index, finish_reason: "stop" });

function stream(response, ...events) {
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) response.write(event);
}

/** The JSON of a stream's events; "[DONE]" is the last of them. */
function eventsOf(text) {
  const data = [...text.matchAll(/^data: (.*)$/gm)].map(([, event]) => event);
  assert.equal(data.pop(), "[DONE]");
  return data.map((event) => JSON.parse(event));
}

describe("chat completions", { skip }, () => {
  let upstream;
  before(async () => (upstream = await new Upstream().start()));
  after(() => upstream.stop());

  /** The text of the answer, from a host where one model has an endpoint; `endpoint` replaces parts of it. */
  async function chat(script, fields, { endpoint = {}, ...more } = {}) {
    const { handle } = await compiled("http");
    upstream.bodies = [];
    upstream.script = script;
    const stated = { base_url: upstream.url, api_key_env: null, model: "m", api: ["chat"], resume: "ask", ...endpoint };
    const proxy = { models: { [MODEL]: { provider: "p", endpoint: stated } }, tenants: {}, regions: {} };
    const host = await createHost(undefined, { proxy: { ...proxy, region_header: null }, ...more });
    const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Why?" }], ...fields });
    const response = await handle(new Request("http://localhost/v1/chat/completions", { method: "POST", body }), host);
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  test("several choices are held back and come whole, each with its beginning and its end", async () => {
    const write = (response) => {
      stream(response, say("a"), say("b", 1), say("c"), end(), say("d", 1), end(1), "data: [DONE]\n\n");
      response.end();
    };
    const { text } = await chat(write, { n: 2, stream: true });
    const choices = eventsOf(text).flatMap((event) => event.choices);
    for (const [index, said] of ["ac", "bd"].entries()) {
      const own = choices.filter((choice) => choice.index === index);
      assert.equal(own.map(({ delta }) => delta.content ?? "").join(""), said);
      assert.equal(own.filter(({ delta }) => delta.role).length, 1);
      assert.deepEqual(own.filter((choice) => choice.finish_reason).length, 1);
    }
  });

  test("what was shown is gone on from: by an instruction, or by the beginning alone", async () => {
    for (const [resume, roles] of [
      ["ask", ["user", "assistant", "user"]],
      ["prefill", ["user", "assistant"]],
    ]) {
      const write = (response, call) => {
        if (call > 1) {
          stream(response, say(" and slept."), end());
          response.end();
        } else {
          stream(response, ...STORY.map((sentence) => say(sentence)));
          setTimeout(() => response.destroy(), 50);
        }
      };
      const { text } = await chat(write, { stream: true, max_tokens: 50 }, { endpoint: { resume } });
      const said = eventsOf(text).map((event) => event.choices[0].delta.content ?? "");
      assert.equal(said.join(""), `${STORY.join("")} and slept.`);
      const [, again] = upstream.bodies;
      assert.deepEqual(
        again.messages.map(({ role }) => role),
        roles,
      );
      assert.equal(again.messages[1].content, STORY.join(""));
      assert.equal(again.max_tokens, 50 - STORY.length);
    }
  });

  test("an upstream that sends no end mark after its finish reason has answered", async () => {
    const write = (response) => stream(response, say("all"), end());
    const { text } = await chat(write, { stream: true });
    assert.equal(eventsOf(text).at(-1).choices[0].finish_reason, "stop");
  });

  test("an answer that the core cannot follow any more is an error inside the stream", async (context) => {
    const logged = context.mock.method(console, "error", () => undefined);
    const { Engine } = await compiled("engine");
    const { open } = Engine.prototype;
    context.mock.method(Engine.prototype, "open", function (request) {
      const opened = open.call(this, request);
      let events = 0;
      const advance = (event) => {
        if (++events > STORY.length) throw new WebAssembly.RuntimeError("unreachable");
        return opened.session.advance(event);
      };
      return { ...opened, session: { ...opened.session, advance } };
    });
    const write = (response) => stream(response, ...STORY.map((sentence) => say(sentence)), end());
    const { text } = await chat(write, { stream: true });
    assert.match(text, /event: error\ndata: .*the router failed/);
    assert.doesNotMatch(text, /\[DONE\]/);
    assert.equal(logged.mock.callCount(), 1);
  });

  test("what was observed is shared: a stream is no answer to a client that does not stream", async () => {
    const shared = [];
    const write = (response) => {
      stream(response, say("all"), end(), "data: [DONE]\n\n");
      response.end();
    };
    await chat(write, {}, { share: (observations) => shared.push(...observations) });
    assert.ok(shared.length > 0);
    for (const { model, outcome } of shared) assert.deepEqual([model, outcome], [MODEL, "error"]);
  });

  test("without an endpoint nobody is called", async () => {
    const host = await createHost(undefined, { proxy: { models: {}, tenants: {}, regions: {}, region_header: null } });
    const { status, body } = await ask(host, "POST", "/v1/chat/completions", {
      messages: [{ role: "user", content: "a" }],
    });
    assert.deepEqual([status, body.error.code], [502, "refused"]);
  });
});

test("conversations: the newest are remembered, by tenant", async () => {
  const { Conversations } = await compiled("conversations");
  const known = new Conversations();
  const request = (tenant, session) => ({ tenant, session, sessionModel: "", cachedTokens: 0 });
  for (let number = 0; number <= 10_000; number++) known.remember(request("t", `s${number}`), "m", number);
  const recalled = (tenant, session) => known.recall(request(tenant, session)).cachedTokens;
  assert.deepEqual(
    [recalled("t", "s0"), recalled("t", "s1"), recalled("other", "s1"), recalled("t", "")],
    [0, 1, 0, 0],
  );
  const stated = { ...request("t", "s1"), sessionModel: "mine" };
  assert.equal(known.recall(stated), stated);
});
