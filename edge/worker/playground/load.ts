/** The router in a browser: its parts fetched from where the page is. */

import { instantiate } from "../generated/router.js";
import type { Phrases } from "../src/decision.ts";
import type { About, Parts } from "../src/route.ts";

/** Fetches and compiles. Throws where a file is missing. */
export async function loadParts(folder: URL): Promise<Parts> {
  const [core, policy, phrases, about] = await Promise.all([
    get("router.core.wasm", folder).then(async (response) => WebAssembly.compile(await response.arrayBuffer())),
    get("policy.bin", folder).then(async (response) => new Uint8Array(await response.arrayBuffer())),
    get("phrases.json", folder).then((response) => response.json() as Promise<Phrases>),
    get("about.json", folder).then((response) => response.json() as Promise<About>),
  ]);
  return { instantiate, core, policy, phrases, about };
}

async function get(name: string, folder: URL): Promise<Response> {
  const response = await fetch(new URL(name, folder));
  if (!response.ok) throw new Error(`${name} could not be loaded (HTTP ${response.status})`);
  return response;
}
