/** The policy at run time: read again from a KV namespace every so often, so that it changes without a deployment. */

import type { Engine } from "./engine.ts";
import { type ProxyTable, readProxyTable } from "./proxy.ts";

/** The keys under which the namespace holds what `edgewise config pack` writes: the blob, and what --proxy adds. */
const POLICY_KEY = "policy";
const PROXY_KEY = "proxy";

const DEFAULT_REFRESH_SECONDS = 60;
const FIRST_READING_MS = 1000;

/** As much of a KV namespace as is used here. */
export interface Store {
  get(key: string, type: "arrayBuffer"): Promise<ArrayBuffer | null>;
  get(key: string, type: "text"): Promise<string | null>;
}

/** Which policy decides, and what became of what was read last: the `policy` of /healthz. */
export interface PolicyState {
  readonly source: "bundle" | "kv";
  /** Of the blob that decides, in hexadecimal. */
  readonly sha256: string;
  /** When the namespace was read last, in ISO 8601; null where it was not. */
  readonly checked_at: string | null;
  /** Why what was read last does not decide; null where nothing is wrong. */
  readonly error: string | null;
}

/** What the bundle carries. */
export interface Bundled {
  readonly policy: Uint8Array;
  readonly proxy: ProxyTable;
}

/** Keeps an engine's policy, and the proxy table, up to date with a KV namespace. What is refused changes nothing. */
export class LivePolicy {
  readonly #engine: Engine;
  readonly #bundled: Bundled;
  #proxyText: string | null = null;
  #proxy: ProxyTable;
  #source: PolicyState["source"] = "bundle";
  #deciding: Uint8Array;
  #refused: { readonly blob: Uint8Array; readonly why: string } | undefined;
  #error: string | null = null;
  #checkedAt: number | undefined;
  #startedAt = -Infinity;

  constructor(engine: Engine, bundled: Bundled) {
    this.#engine = engine;
    this.#bundled = bundled;
    this.#deciding = bundled.policy;
    this.#proxy = bundled.proxy;
  }

  /** The proxy table that counts now. */
  get proxy(): ProxyTable {
    return this.#proxy;
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
    const error = await this.#readAll(store);
    if (error !== null && error !== this.#error) console.error(error);
    this.#error = error;
    this.#checkedAt = Date.now();
    this.#startedAt = Math.max(this.#startedAt, this.#checkedAt);
  }

  /** Reads both keys; gives what is wrong, or null. */
  async #readAll(store: Store): Promise<string | null> {
    try {
      const [blob, proxy] = await Promise.all([store.get(POLICY_KEY, "arrayBuffer"), store.get(PROXY_KEY, "text")]);
      return this.#take(blob === null ? undefined : new Uint8Array(blob)) ?? this.#takeProxy(proxy);
    } catch (error) {
      return `the policy could not be read: ${messageOf(error)}`;
    }
  }

  /** Lets a blob decide, the bundled one without it. One that was refused is not tried again while it stays the same. */
  #take(found: Uint8Array | undefined): string | null {
    const blob = found ?? this.#bundled.policy;
    if (this.#refused !== undefined && equal(blob, this.#refused.blob)) return this.#refused.why;
    try {
      if (!equal(blob, this.#deciding)) this.#engine.loadPolicy(blob);
    } catch (error) {
      this.#refused = { blob, why: messageOf(error) };
      return this.#refused.why;
    }
    this.#refused = undefined;
    this.#deciding = blob;
    this.#source = found === undefined ? "bundle" : "kv";
    return null;
  }

  #takeProxy(text: string | null): string | null {
    if (text === this.#proxyText) return null;
    try {
      this.#proxy = text === null ? this.#bundled.proxy : readProxyTable(text);
    } catch (error) {
      return `the proxy table cannot be used: ${messageOf(error)}`;
    }
    this.#proxyText = text;
    return null;
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
