/** The compiled router: started, given its policy, asked, and replaced when it trapped or grew. */

import type * as Routing from "../generated/interfaces/edgewise-router-routing.js";
import type { instantiate } from "../generated/router.js";

export type { Decision, Message, Needs, Request } from "../generated/interfaces/edgewise-router-routing.js";

export type Instantiate = typeof instantiate;

/** Starts the core module; a test may put its own in between. */
export type StartCore = (module: WebAssembly.Module, imports?: WebAssembly.Imports) => WebAssembly.Instance;

/**
 * An instance that holds more than this after a decision, and twice what it started with, is dropped: linear memory
 * grows and never shrinks.
 */
const KEPT_MEMORY_BYTES = 8 * 1024 * 1024;

interface Running {
  readonly routing: typeof Routing;
  readonly memory: WebAssembly.Memory;
  readonly keptBytes: number;
}

export class Engine {
  readonly #start: (policy: Uint8Array) => Running;
  #policy: Uint8Array;
  #running: Running | undefined;

  /** Starts the router with a policy blob. Throws when the core refuses the blob. */
  constructor(
    instantiate: Instantiate,
    module: WebAssembly.Module,
    policy: Uint8Array,
    startCore: StartCore = (core, imports) => new WebAssembly.Instance(core, imports),
  ) {
    this.#start = (blob) => start(instantiate, module, blob, startCore);
    this.#policy = policy;
    this.#running = this.#start(policy);
  }

  /** Decides one request. Every status is returned; what is thrown is a trap, and the next call starts afresh. */
  decide(request: Routing.Request): Routing.Decision {
    const running = this.#running ?? this.#start(this.#policy);
    this.#running = undefined;
    const decision = running.routing.route(request);
    if (running.memory.buffer.byteLength <= running.keptBytes) this.#running = running;
    return decision;
  }

  /** Replaces the policy. Throws when the core refuses it; the old one then stays. */
  loadPolicy(policy: Uint8Array): void {
    this.#running = this.#start(policy);
    this.#policy = policy;
  }

  /** The size of the linear memory, in bytes; 0 where no instance is kept. */
  get memoryBytes(): number {
    return this.#running?.memory.buffer.byteLength ?? 0;
  }
}

function start(
  instantiate: Instantiate,
  module: WebAssembly.Module,
  policy: Uint8Array,
  startCore: StartCore,
): Running {
  let memory: WebAssembly.Memory | undefined;
  const { routing } = instantiate(
    () => module,
    {},
    (core, imports) => {
      const instance = startCore(core, imports);
      memory ??= instance.exports["memory"] as WebAssembly.Memory;
      return instance;
    },
  );
  const status = routing.loadPolicy(policy);
  if (status !== "ok") throw new Error(`the core refused the policy: ${status.replaceAll("-", " ")}`);
  const keptBytes = Math.max(KEPT_MEMORY_BYTES, 2 * memory!.buffer.byteLength);
  return { routing, memory: memory!, keptBytes };
}
