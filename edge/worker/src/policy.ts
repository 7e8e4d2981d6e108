/** The policy at run time: read again from a KV namespace every so often, so that it changes without a deployment. */

import type { Engine } from "./engine.ts";

/** The key under which the namespace holds the blob that `edgewise config pack` writes. */
export const POLICY_KEY = "policy";

const DEFAULT_REFRESH_SECONDS = 60;
const FIRST_READING_MS = 1000;

/** As much of a KV namespace as is used here. */
export interface Store {
  get(key: string, type: "arrayBuffer"): Promise<ArrayBuffer | null>;
}

/** Which policy decides, and what became of the last one that was read: the `policy` of /healthz. */
export interface PolicyState {
  readonly source: "bundle" | "kv";
  /** Of the blob that decides, in hexadecimal. */
  readonly sha256: string;
  /** When the namespace was read last, in ISO 8601; null where it was not. */
  readonly checked_at: string | null;
  /** Why what was read last does not decide; null where nothing is wrong. */
  readonly error: string | null;
}

/** Keeps the policy of an engine up to date with a KV namespace. What the core refuses changes nothing. */
export class LivePolicy {
  readonly #engine: Engine;
  readonly #bundled: Uint8Array;
  #source: PolicyState["source"] = "bundle";
  #deciding: Uint8Array;
  #refused: { readonly blob: Uint8Array; readonly why: string } | undefined;
  #error: string | null = null;
  #checkedAt: number | undefined;
  #startedAt = -Infinity;

  constructor(engine: Engine, bundled: Uint8Array) {
    this.#engine = engine;
    this.#bundled = this.#deciding = bundled;
  }

  /**
   * Reads the policy again where the last reading is older than `seconds`. Never throws.
   *
   * Readings go to `later`, and only the first keeps a request waiting, FIRST_READING_MS at most: afterwards requests
   * are decided by what is there. Requests that come during the first reading read for themselves, since a Worker's
   * request cannot wait for the I/O of another.
   */
  async refresh(store: Store | undefined, seconds: number, later: (work: Promise<void>) => void): Promise<void> {
    const now = Date.now();
    if (store === undefined || now - this.#startedAt < seconds * 1000) return;
    const isFirst = this.#checkedAt === undefined;
    if (!isFirst) this.#startedAt = now;
    const reading = this.#read(store);
    later(reading);
    if (isFirst) await Promise.race([reading, sleep(FIRST_READING_MS)]);
  }

  async state(): Promise<PolicyState> {
    return {
      source: this.#source,
      sha256: await sha256(this.#deciding),
      checked_at: this.#checkedAt === undefined ? null : new Date(this.#checkedAt).toISOString(),
      error: this.#error,
    };
  }

  async #read(store: Store): Promise<void> {
    try {
      const value = await store.get(POLICY_KEY, "arrayBuffer");
      this.#take(value === null ? this.#bundled : new Uint8Array(value), value === null ? "bundle" : "kv");
    } catch (error) {
      this.#fail(`the policy could not be read: ${messageOf(error)}`);
    }
    this.#checkedAt = Date.now();
    this.#startedAt = Math.max(this.#startedAt, this.#checkedAt);
  }

  /** Lets a blob decide, if the core takes it. One that was refused is not tried again while it stays the same. */
  #take(blob: Uint8Array, source: PolicyState["source"]): void {
    if (this.#refused !== undefined && equal(blob, this.#refused.blob)) return this.#fail(this.#refused.why);
    try {
      if (!equal(blob, this.#deciding)) this.#engine.loadPolicy(blob);
    } catch (error) {
      this.#refused = { blob, why: messageOf(error) };
      return this.#fail(this.#refused.why);
    }
    this.#refused = undefined;
    this.#deciding = blob;
    this.#source = source;
    this.#error = null;
  }

  #fail(message: string): void {
    if (this.#error !== message) console.error(message);
    this.#error = message;
  }
}

/** The seconds that a variable names. What is not a number is as if it were not there; 0 reads at every request. */
export function refreshSeconds(variable: string | undefined): number {
  const seconds = Number(variable ?? DEFAULT_REFRESH_SECONDS);
  return Number.isFinite(seconds) && seconds >= 0 && variable !== "" ? seconds : DEFAULT_REFRESH_SECONDS;
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes.slice()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
