/** The Worker: starts the router once per isolate, when the script is loaded. */

import about from "../generated/about.json";
import phrases from "../generated/phrases.json";
import policy from "../generated/policy.bin";
import core from "../generated/router.core.wasm";
import { instantiate } from "../generated/router.js";
import { Engine } from "./engine.ts";
import { type Host, handle } from "./http.ts";
import { LivePolicy, type Store, refreshSeconds } from "./policy.ts";

/** What wrangler.toml binds; without the namespace, the bundled policy is the only one. */
interface Env {
  readonly CONFIG?: Store;
  readonly POLICY_REFRESH_SECONDS?: string;
}

const bundled = new Uint8Array(policy);
const engine = new Engine(instantiate, core, bundled);
const livePolicy = new LivePolicy(engine, bundled);
const host: Host = { engine, phrases, about, runtime: "workerd", livePolicy };

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const seconds = refreshSeconds(env.POLICY_REFRESH_SECONDS);
    await livePolicy.refresh(env.CONFIG, seconds, (work) => context.waitUntil(work));
    return handle(request, host);
  },
};
