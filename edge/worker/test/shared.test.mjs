import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { compiled, createHost, skip } from "./support.mjs";

const MODEL = "gpt-4o-mini";
const NOW = 1_782_000_000_000;

const failure = (atMs) => ({
  ...{ model: MODEL, region: "", tenant: "", outcome: "error", ttftMs: 0, tokensPerS: 0, retryAfterMs: 0 },
  ...{ cost: 0n, atMs: BigInt(atMs) },
});

/** A Durable Object's storage. */
class Storage {
  values = new Map();
  alarm = null;
  get = async (key) => this.values.get(key);
  put = async (key, value) => void this.values.set(key, value);
  getAlarm = async () => this.alarm;
  setAlarm = async (atMs) => void (this.alarm = atMs);
}

describe("the table of all isolates", { skip }, () => {
  test("what one isolate reports, another takes over, and a new object finds in its storage", async () => {
    const { SharedTable, TableKeeper } = await compiled("shared");
    const storage = new Storage();
    const keeper = new TableKeeper((await createHost()).engine, storage);
    const table = { observe: (seen) => keeper.observe(seen), snapshot: async () => keeper.snapshot() };
    const [one, other] = [(await createHost()).engine, (await createHost()).engine];

    await new SharedTable(one).report(table, [failure(NOW)]);
    assert.notEqual(storage.alarm, null);
    const work = [];
    new SharedTable(other).refresh(table, 5, (reading) => work.push(reading));
    await Promise.all(work);
    assert.deepEqual(other.snapshot(), keeper.snapshot());
    assert.notDeepEqual(other.snapshot(), one.snapshot());

    await keeper.save();
    const next = new TableKeeper((await createHost()).engine, storage);
    await next.load();
    assert.deepEqual(next.snapshot(), keeper.snapshot());
  });

  test("it is read once in so many seconds", async () => {
    const { SharedTable } = await compiled("shared");
    const { engine } = await createHost();
    let reads = 0;
    const table = { observe: async () => undefined, snapshot: async () => (reads++, engine.snapshot()) };
    const shared = new SharedTable(engine);
    mock.timers.enable({ apis: ["Date"], now: NOW });
    try {
      for (const step of [0, 4_999, 1, 0]) {
        mock.timers.tick(step);
        await new Promise((resolve) => {
          shared.refresh(table, 5, resolve);
          resolve();
        });
      }
    } finally {
      mock.timers.reset();
    }
    assert.equal(reads, 2);
  });

  test("a table that does not answer is named once, and the isolate goes on", async (context) => {
    const { SharedTable } = await compiled("shared");
    const { engine } = await createHost();
    const logged = context.mock.method(console, "error", () => undefined);
    const broken = {
      observe: () => Promise.reject(new Error("gone")),
      snapshot: () => Promise.reject(new Error("gone")),
    };
    const shared = new SharedTable(engine);
    for (let time = 0; time < 3; time++) await shared.report(broken, [failure(NOW)]);
    assert.equal(logged.mock.callCount(), 1);
  });
});

test("an engine keeps what it observed when its instance is replaced", { skip }, async () => {
  const { engine } = await createHost();
  engine.observe(failure(NOW));
  const seen = engine.snapshot();
  engine.decide({
    ...{ id: "", region: "", tenant: "", session: "", sessionModel: "", model: "", needs: {}, tier: "unset" },
    ...{
      objective: "unset",
      stream: false,
      maxOutputTokens: 0,
      latencySloMs: 0,
      cachedTokens: 0,
      budget: 0n,
      atMs: 0n,
    },
    messages: [{ role: "user", content: "word ".repeat(4_000_000) }],
  });
  assert.equal(engine.memoryBytes, 0, "the instance grew too large to be kept");
  assert.deepEqual(engine.snapshot(), seen);
});
