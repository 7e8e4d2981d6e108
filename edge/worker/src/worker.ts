/** The Worker: starts the router once per isolate, when the script is loaded. */

import { DurableObject } from "cloudflare:workers";
import about from "../generated/about.json";
import phrases from "../generated/phrases.json";
import policy from "../generated/policy.bin";
import proxy from "../generated/proxy.txt";
import core from "../generated/router.core.wasm";
import { instantiate } from "../generated/router.js";
import { Rates } from "./admission.ts";
import { Conversations } from "./conversations.ts";
import { Engine, type Observation } from "./engine.ts";
import { handle } from "./http.ts";
import { LivePolicy, type Store, refreshSeconds } from "./policy.ts";
import { readProxyTable } from "./proxy.ts";
import { SharedTable, TableKeeper, liveSeconds } from "./shared.ts";

/** What wrangler.toml binds, and the secrets. Each binding may be absent. */
interface Env {
  /** Holds a policy, and a proxy table, that replace the bundled ones. */
  readonly CONFIG?: Store;
  readonly POLICY_REFRESH_SECONDS?: string;
  /** Without it, each isolate knows only what its own calls showed. */
  readonly LATENCY_TABLE?: DurableObjectNamespace<LatencyTable>;
  readonly LIVE_REFRESH_SECONDS?: string;
  readonly [secret: string]: unknown;
}

const TABLE_NAME = "all";

const bundled = { policy: new Uint8Array(policy), proxy: readProxyTable(proxy) };
const engine = new Engine(instantiate, core, bundled.policy);
const livePolicy = new LivePolicy(engine, bundled);
const sharedTable = new SharedTable(engine);
const shared = { engine, phrases, about, runtime: "workerd", rates: new Rates(), conversations: new Conversations() };

export default {
  async fetch(request: Request, env: Env, context: ExecutionContext): Promise<Response> {
    const later = (work: Promise<unknown>): void => context.waitUntil(work);
    await livePolicy.refresh(env.CONFIG, refreshSeconds(env.POLICY_REFRESH_SECONDS), later);
    const table = env.LATENCY_TABLE?.get(env.LATENCY_TABLE.idFromName(TABLE_NAME));
    if (table) sharedTable.refresh(table, liveSeconds(env.LIVE_REFRESH_SECONDS), later);
    return handle(request, {
      ...shared,
      proxy: livePolicy.proxy,
      secrets: env,
      policyState: () => livePolicy.state(),
      share: (observations) => table && later(sharedTable.report(table, observations)),
      later,
    });
  },
};

/** The table of all isolates: the same router, in one place, that only observes. */
export class LatencyTable extends DurableObject<Env> {
  readonly #engine = new Engine(instantiate, core, bundled.policy);
  readonly #livePolicy = new LivePolicy(this.#engine, bundled);
  readonly #keeper: TableKeeper;

  constructor(context: DurableObjectState, env: Env) {
    super(context, env);
    this.#keeper = new TableKeeper(this.#engine, context.storage);
    void context.blockConcurrencyWhile(async () => {
      await this.#refreshPolicy();
      await this.#keeper.load();
    });
  }

  async observe(observations: readonly Observation[]): Promise<void> {
    await this.#refreshPolicy();
    await this.#keeper.observe(observations);
  }

  async snapshot(): Promise<Uint8Array> {
    await this.#refreshPolicy();
    return this.#keeper.snapshot();
  }

  override async alarm(): Promise<void> {
    await this.#keeper.save();
  }

  /** The table has the models of the policy that isolates decide by. */
  #refreshPolicy(): Promise<void> {
    const { CONFIG, POLICY_REFRESH_SECONDS } = this.env;
    return this.#livePolicy.refresh(CONFIG, refreshSeconds(POLICY_REFRESH_SECONDS), (work) => this.ctx.waitUntil(work));
  }
}
