import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ask, compiled, createHost, skip } from "./support.mjs";

const ROUTE = "edgewise:router/routing@0.1.0#route";

describe("the host around the real component", { skip }, () => {
  test("a request gets a decision with everything that led to it", async () => {
    const { status, body } = await ask(await createHost(), "POST", "/v1/route", {
      id: "r1",
      text: "Translate to French: bread",
    });
    assert.equal(status, 200);
    assert.equal(body.id, "r1");
    assert.equal(typeof body.model, "string");
    assert.ok(body.fallbacks.length > 0);
    assert.ok(body.signals.task.score >= 0 && body.signals.task.score <= 1);
    assert.ok(body.reasons.every(({ code, text }) => code && text && !text.includes("{")));
    assert.equal(body.edgewise.engine, "node");
  });

  test("equal requests get equal decisions, on one engine and on two", async () => {
    const hosts = [await createHost(), await createHost()];
    const request = { text: "Write a SQL query that counts orders by month" };
    const answers = await Promise.all(
      [hosts[0], hosts[0], hosts[1]].map((host) => ask(host, "POST", "/v1/route", request)),
    );
    assert.deepEqual(answers[0].body, answers[1].body);
    assert.deepEqual(answers[0].body, answers[2].body);
  });

  test("what no model can serve is 422, and says why each was dropped", async () => {
    const { status, body } = await ask(await createHost(), "POST", "/v1/route", {
      text: "hello there",
      budget_usd: 1e-12,
    });
    assert.equal(status, 422);
    assert.equal(body.error.type, "no_feasible_model");
    assert.ok(body.error.dropped.length > 0 && body.error.dropped.length <= body.error.dropped_count);
    assert.match(body.error.message, /^no model can serve this request:\n {2}\S/);
  });

  test("bad input is 400 and names the field", async () => {
    const host = await createHost();
    const { status, body } = await ask(host, "POST", "/v1/route", { text: "hi", budget_usd: -1 });
    assert.equal(status, 400);
    assert.deepEqual(body.error, {
      message: "budget_usd: Input should be greater than or equal to 0",
      type: "invalid_request_error",
      param: "budget_usd",
      code: null,
    });
    assert.match((await ask(host, "POST", "/v1/route", '{"text":')).body.error.message, /line 1 column 9/);
    assert.match((await ask(host, "POST", "/v1/route", new Uint8Array([255]))).body.error.message, /UTF-8/);
  });

  test("a body over the limit is 413, one below it is cut and says so", async () => {
    const host = await createHost();
    const { MAX_BODY_BYTES } = await compiled("body");
    const tooLong = await ask(host, "POST", "/v1/route", new Uint8Array(MAX_BODY_BYTES + 1).fill(32));
    assert.deepEqual([tooLong.status, tooLong.body.error.type], [413, "request_too_large_error"]);
    const long = await ask(host, "POST", "/v1/route", { text: "word ".repeat(20_000) });
    assert.deepEqual([long.status, long.body.truncated], [200, true]);
  });

  test("text nested beyond all reason is an error of the request", async () => {
    const content = `${"[".repeat(200_000)}${"]".repeat(200_000)}`;
    const body = `{"messages": [{"role": "user", "content": [{"type": "tool_result", "content": ${content}}]}]}`;
    const answer = await ask(await createHost(), "POST", "/v1/route", body);
    assert.deepEqual([answer.status, answer.body.error.message], [400, "messages: nested too deeply"]);
  });

  test("other paths and methods are 404 and 405", async () => {
    const host = await createHost();
    assert.equal((await ask(host, "GET", "/nowhere")).status, 404);
    const wrong = await ask(host, "GET", "/v1/route");
    assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "POST"]);
    assert.deepEqual((await ask(host, "GET", "/healthz")).body.status, "ok");
  });

  test("after a trap the next request gets a fresh instance", async (context) => {
    let starts = 0;
    const host = await createHost((module) => {
      const { exports } = new WebAssembly.Instance(module);
      const trap = () => {
        throw new WebAssembly.RuntimeError("unreachable");
      };
      return { exports: starts++ === 0 ? { ...exports, [ROUTE]: trap } : exports };
    });
    const logged = context.mock.method(console, "error", () => undefined);
    assert.equal((await ask(host, "POST", "/v1/route", { text: "hi" })).status, 500);
    assert.equal(logged.mock.callCount(), 1);
    assert.equal((await ask(host, "POST", "/v1/route", { text: "hi" })).status, 200);
    assert.equal(starts, 2);
  });

  test("an instance that grew for a huge prompt is not kept", async () => {
    const host = await createHost();
    const before = host.engine.memoryBytes;
    assert.ok(before > 0 && before <= 16 * 1024 * 1024);
    await ask(host, "POST", "/v1/route", { text: "word ".repeat(2_000_000) });
    assert.equal(host.engine.memoryBytes, 0);
    assert.equal((await ask(host, "POST", "/v1/route", { text: "hi" })).status, 200);
    assert.equal(host.engine.memoryBytes, before);
  });

  test("a policy that the core refuses leaves the old one in place", async () => {
    const host = await createHost();
    assert.throws(() => host.engine.loadPolicy(new Uint8Array(10)), /the core refused the policy: not a policy/);
    assert.equal((await ask(host, "POST", "/v1/route", { text: "hi" })).status, 200);
  });

  test("the core module imports nothing", async () => {
    const imports = [];
    await createHost((module) => {
      imports.push(...WebAssembly.Module.imports(module));
      return new WebAssembly.Instance(module);
    });
    assert.deepEqual(imports, []);
  });
});
