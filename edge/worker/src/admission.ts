/** Who may ask, and how often: API keys of clients, bound to tenants, and each tenant's requests a minute. */

import { tooManyRequests, unauthorized } from "./errors.ts";
import type { ProxyTable } from "./proxy.ts";

/** The secret with keys beside those of the configuration: `tenant:sha256` pairs, with spaces between them. */
export const KEYS_SECRET = "EDGEWISE_CLIENT_KEYS";

const PAIR = /^(\S+):([0-9a-f]{64})$/;
const BEARER = /^bearer /i;
const DEFAULT_TENANT = "default";
const MINUTE_MS = 60_000;

/** The tenant and the hash of each key that opens the proxy. A word that is no such pair closes it: the safe side. */
function readKeys(proxy: ProxyTable, secret: unknown): [tenant: string, sha256: string][] {
  const words = typeof secret === "string" ? secret.split(/\s+/).filter(Boolean) : [];
  const stated = Object.entries(proxy.tenants).flatMap(([tenant, { key_sha256 }]) =>
    key_sha256.map((hash): [string, string] => [tenant, hash]),
  );
  const added = words.map((word): [string, string] => {
    const pair = PAIR.exec(word);
    if (pair === null) {
      console.error(`${KEYS_SECRET}: a word is not tenant:sha256, with 64 small hexadecimal digits; it opens nothing`);
    }
    return pair === null ? ["", ""] : [pair[1]!, pair[2]!];
  });
  return [...stated, ...added];
}

/**
 * Whose key a request came with; undefined where no keys are asked for. Throws HttpError for a wrong one.
 *
 * All hashes are compared, each in constant time.
 */
export async function tenantOf(headers: Headers, proxy: ProxyTable, secret: unknown): Promise<string | undefined> {
  const keys = readKeys(proxy, secret);
  if (keys.length === 0) return undefined;
  const hash = await sha256(keyIn(headers));
  const found = keys.filter(([, known]) => isSame(known, hash));
  if (found.length === 0) throw unauthorized();
  return found[0]![0];
}

/** The key, where clients of the OpenAI API put it, or those of the Anthropic API. */
function keyIn(headers: Headers): string {
  const authorization = headers.get("authorization") ?? "";
  if (BEARER.test(authorization)) return authorization.replace(BEARER, "").trim();
  return headers.get("x-api-key") ?? "";
}

async function sha256(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether two texts are equal, in a time that depends on their lengths only. */
function isSame(one: string, other: string): boolean {
  let different = one.length ^ other.length;
  for (let index = 0; index < other.length; index++) different |= one.charCodeAt(index) ^ other.charCodeAt(index);
  return different === 0;
}

/** A bucket of requests for each tenant that has a limit: it fills steadily, up to those of one minute. */
export class Rates {
  readonly #buckets = new Map<string, { left: number; atMs: number }>();

  /** Counts a request of a tenant. Throws HttpError where it is one too many. */
  take(tenant: string, proxy: ProxyTable): void {
    const name = Object.hasOwn(proxy.tenants, tenant) ? tenant : DEFAULT_TENANT;
    const most = proxy.tenants[name]?.requests_per_minute ?? null;
    if (most === null) return;
    const now = Date.now();
    const { left, atMs } = this.#buckets.get(name) ?? { left: most, atMs: now };
    const filled = Math.min(most, left + ((now - atMs) * most) / MINUTE_MS);
    this.#buckets.set(name, { left: filled < 1 ? filled : filled - 1, atMs: now });
    if (filled < 1) throw tooManyRequests(((1 - filled) * MINUTE_MS) / most);
  }
}
