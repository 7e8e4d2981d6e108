import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, mock, test } from "node:test";
import { ask, compiled, createHost, readPolicy, skip } from "./support.mjs";

const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** A host whose policy follows a namespace that the test fills; `read` reads it and waits for the reading's end. */
async function followNamespace() {
  const { LivePolicy } = await compiled("policy");
  const { NO_PROXY } = await compiled("proxy");
  const bundled = await readPolicy();
  const host = await createHost();
  const livePolicy = new LivePolicy(host.engine, { policy: bundled, proxy: NO_PROXY });
  host.policyState = () => livePolicy.state();
  const namespace = { value: null, proxy: null, reads: 0, broken: false };
  const store = {
    get: async (key) => {
      if (namespace.broken) throw new Error("the network is down");
      if (key === "proxy") return namespace.proxy;
      namespace.reads++;
      return namespace.value?.slice().buffer ?? null;
    },
  };
  const read = async (seconds = 0) => {
    const work = [];
    await livePolicy.refresh(store, seconds, (one) => work.push(one));
    await Promise.all(work);
    return (await ask(host, "GET", "/healthz")).body.policy;
  };
  return { host, livePolicy, namespace, bundled, read };
}

/** Another policy that the core takes. */
function change(policy) {
  const changed = policy.slice();
  changed[changed.length - 1] ^= 1; // the last letter of the last string
  return changed;
}

describe("a policy from a namespace", { skip }, () => {
  test("without one, the bundled policy decides", async () => {
    const { bundled, read } = await followNamespace();
    const { checked_at: checkedAt, ...state } = await read();
    assert.deepEqual(state, { source: "bundle", sha256: hash(bundled), error: null });
    assert.equal(new Date(checkedAt).toISOString(), checkedAt);
  });

  test("a new one replaces it, and its removal brings the bundled one back", async () => {
    const { bundled, namespace, read } = await followNamespace();
    namespace.value = change(bundled);
    const replaced = await read();
    assert.deepEqual([replaced.source, replaced.sha256, replaced.error], ["kv", hash(namespace.value), null]);
    namespace.value = null;
    const { source, sha256 } = await read();
    assert.deepEqual([source, sha256], ["bundle", hash(bundled)]);
  });

  test("a refused one leaves the old one and says so, until a good one comes", async (context) => {
    const { host, bundled, namespace, read } = await followNamespace();
    const logged = context.mock.method(console, "error", () => undefined);
    namespace.value = new Uint8Array(10);
    for (let time = 0; time < 3; time++) {
      const { source, sha256, error } = await read();
      assert.deepEqual([source, sha256], ["bundle", hash(bundled)]);
      assert.equal(error, "the core refused the policy: not a policy");
    }
    assert.equal(logged.mock.callCount(), 1);
    assert.equal((await ask(host, "POST", "/v1/route", { text: "hi" })).status, 200);
    namespace.value = change(bundled);
    assert.deepEqual((await read()).error, null);
  });

  test("the proxy table follows its own key, and a damaged one leaves the old one", async (context) => {
    const { livePolicy, namespace, read } = await followNamespace();
    context.mock.method(console, "error", () => undefined);
    const table = { models: { near: { provider: "home", endpoint: null } }, tenants: {}, regions: {} };
    namespace.proxy = JSON.stringify(table);
    assert.equal((await read()).error, null);
    assert.deepEqual(livePolicy.proxy, table);
    namespace.proxy = "{}";
    assert.match((await read()).error, /^the proxy table cannot be used: it has no models/);
    assert.deepEqual(livePolicy.proxy, table);
    namespace.proxy = null;
    assert.equal((await read()).error, null);
    assert.deepEqual(livePolicy.proxy.models, {});
  });

  test("an unreadable namespace leaves the old one and says so", async (context) => {
    const { bundled, namespace, read } = await followNamespace();
    context.mock.method(console, "error", () => undefined);
    namespace.value = change(bundled);
    await read();
    namespace.broken = true;
    const { source, sha256, error } = await read();
    assert.deepEqual([source, sha256], ["kv", hash(namespace.value)]);
    assert.equal(error, "the policy could not be read: the network is down");
    namespace.broken = false;
    assert.equal((await read()).error, null);
  });

  test("it is read once in so many seconds", async () => {
    const { namespace, read } = await followNamespace();
    mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
    try {
      await read(60);
      mock.timers.tick(59_999);
      await read(60);
      assert.equal(namespace.reads, 1);
      mock.timers.tick(1);
      await read(60);
      assert.equal(namespace.reads, 2);
    } finally {
      mock.timers.reset();
    }
  });

  test("a namespace that does not answer keeps the first request for a second at most", async () => {
    const { LivePolicy } = await compiled("policy");
    const host = await createHost();
    const livePolicy = new LivePolicy(host.engine, { policy: await readPolicy() });
    await livePolicy.refresh({ get: () => new Promise(() => undefined) }, 60, () => undefined);
    assert.equal((await livePolicy.state()).checked_at, null);
  });

  test("without a binding nothing is read", async () => {
    const { LivePolicy } = await compiled("policy");
    const livePolicy = new LivePolicy((await createHost()).engine, { policy: await readPolicy() });
    await livePolicy.refresh(undefined, 0, () => assert.fail());
    assert.equal((await livePolicy.state()).source, "bundle");
  });
});

test("how often: a number of seconds, 60 where there is none", { skip }, async () => {
  const { refreshSeconds } = await compiled("policy");
  const values = [undefined, "", "soon", "-1", "0", "5", "0.5", "Infinity"];
  assert.deepEqual(values.map(refreshSeconds), [60, 60, 60, 60, 0, 5, 0.5, 60]);
});
