/** What was observed of models, shared by all isolates: a Durable Object keeps the table, isolates report and read. */

import type { Engine, Observation } from "./engine.ts";

/** How often the table is written to storage, from where it comes back after the object was moved or evicted. */
const SAVE_MS = 5000;
const SNAPSHOT_KEY = "snapshot";
/** A value of a Durable Object's storage may be 2 MB. */
const MAX_SAVED_BYTES = 2_000_000;

const DEFAULT_REFRESH_SECONDS = 5;

/** As much of a Durable Object as isolates use. */
export interface Table {
  observe(observations: readonly Observation[]): Promise<void>;
  snapshot(): Promise<Uint8Array>;
}

/** An isolate's side: reports what its calls showed, and takes over what those of all isolates did. */
export class SharedTable {
  readonly #engine: Engine;
  #readAt = -Infinity;
  #failed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Reads the table where the last reading is older than `seconds`. No request waits for it. */
  refresh(table: Table, seconds: number, later: (work: Promise<void>) => void): void {
    if (Date.now() - this.#readAt < seconds * 1000) return;
    this.#readAt = Date.now();
    later(this.#try(async () => void this.#engine.restore(await table.snapshot())));
  }

  /** Reports how calls went. */
  report(table: Table, observations: readonly Observation[]): Promise<void> {
    return this.#try(() => table.observe(observations));
  }

  /** Without the table an isolate goes on with what it knows itself; the log has one line for each outage. */
  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) console.error(`the shared table does not answer: ${String(error)}`);
      this.#failed = true;
    }
  }
}

/** As much of a Durable Object's storage as is used here. */
export interface Storage {
  get(key: string): Promise<Uint8Array | undefined>;
  put(key: string, value: Uint8Array): Promise<void>;
  getAlarm(): Promise<number | null>;
  setAlarm(atMs: number): Promise<void>;
}

/** The Durable Object's side: the same core takes in what all isolates observed. */
export class TableKeeper {
  readonly #engine: Engine;
  readonly #storage: Storage;

  constructor(engine: Engine, storage: Storage) {
    this.#engine = engine;
    this.#storage = storage;
  }

  /** Takes over what was saved last. */
  async load(): Promise<void> {
    const saved = await this.#storage.get(SNAPSHOT_KEY);
    if (saved !== undefined) this.#engine.restore(saved);
  }

  async observe(observations: readonly Observation[]): Promise<void> {
    for (const observation of observations) this.#engine.observe(observation);
    if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(Date.now() + SAVE_MS);
  }

  snapshot(): Uint8Array {
    return this.#engine.snapshot();
  }

  async save(): Promise<void> {
    const snapshot = this.snapshot();
    if (snapshot.length <= MAX_SAVED_BYTES) await this.#storage.put(SNAPSHOT_KEY, snapshot);
  }
}

/** The seconds that a variable names; 5 where it names none. */
export function liveSeconds(variable: string | undefined): number {
  const seconds = Number(variable || DEFAULT_REFRESH_SECONDS);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : DEFAULT_REFRESH_SECONDS;
}
