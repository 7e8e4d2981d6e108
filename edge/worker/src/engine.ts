/** The compiled router: started, given its policy, asked, and replaced when it trapped or grew. */

import type * as Routing from "../generated/interfaces/edgewise-router-routing.js";
import type { instantiate } from "../generated/router.js";

export type {
  Action,
  Decision,
  Event,
  Fault,
  Finish,
  Message,
  Needs,
  Observation,
  Opening,
  Request,
} from "../generated/interfaces/edgewise-router-routing.js";

export type Instantiate = typeof instantiate;

/** Starts the core module; a test may put its own in between. */
export type StartCore = (module: WebAssembly.Module, imports?: WebAssembly.Imports) => WebAssembly.Instance;

/**
 * An instance that holds more than this after it was asked, and twice what it started with, is dropped: linear memory
 * grows and never shrinks.
 */
const KEPT_MEMORY_BYTES = 16 * 1024 * 1024;

/** One started core with its policy. Sessions live in the instance that opened them. */
interface Instance {
  readonly routing: typeof Routing;
  readonly memory: WebAssembly.Memory;
  readonly keptBytes: number;
}

/** A session of one instance, which stays there until it ends, even where another instance has taken over. */
export interface Session {
  /** What to do first. */
  readonly action: Routing.Action;
  /** Reports what happened; gives what to do next. What is thrown is a trap: the session is lost. */
  advance(event: Omit<Routing.Event, "session">): Routing.Action;
}

export class Engine {
  readonly #start: (policy: Uint8Array, seen: Uint8Array) => Instance;
  #policy: Uint8Array;
  #running: Instance | undefined;
  /** What was observed until the last instance was dropped. */
  #seen: Uint8Array = new Uint8Array();

  /** Starts the router with a policy blob. Throws when the core refuses the blob. */
  constructor(
    instantiate: Instantiate,
    module: WebAssembly.Module,
    policy: Uint8Array,
    startCore: StartCore = (core, imports) => new WebAssembly.Instance(core, imports),
  ) {
    this.#start = (blob, seen) => start(instantiate, module, blob, seen, startCore);
    this.#policy = policy;
    this.#running = this.#start(policy, this.#seen);
  }

  /** Decides one request. Every status is returned; what is thrown is a trap, and the next call starts afresh. */
  decide(request: Routing.Request): Routing.Decision {
    return this.#ask(this.#current(), ({ routing }) => routing.route(request));
  }

  /** Decides one request and opens a session for it. */
  open(request: Routing.Request): { decision: Routing.Decision; session: Session } {
    const instance = this.#current();
    const { decision, action } = this.#ask(instance, ({ routing }) => routing.open(request));
    const advance: Session["advance"] = (event) => this.#advance(instance, { ...event, session: action.session });
    return { decision, session: { action, advance } };
  }

  /** Reports an event to the instance that is asked now. */
  advance(event: Routing.Event): Routing.Action {
    return this.#advance(this.#current(), event);
  }

  /** How many bytes of `fresh` repeat the end of what was shown; -1 while that cannot be told. */
  overlap(shown: string, fresh: string, whole: boolean): number {
    return this.#ask(this.#current(), ({ routing }) => routing.overlap(shown, fresh, whole));
  }

  /** Takes in how a request went; false where the policy does not know the model. */
  observe(observation: Routing.Observation): boolean {
    return this.#ask(this.#current(), ({ routing }) => routing.observe(observation));
  }

  /** All that was observed, for another engine with the same models, regions and tenants. */
  snapshot(): Uint8Array {
    return this.#ask(this.#current(), ({ routing }) => routing.snapshot());
  }

  /** Replaces what was observed; false, and nothing changes, where the snapshot does not fit the policy. */
  restore(snapshot: Uint8Array): boolean {
    return this.#ask(this.#current(), ({ routing }) => routing.restore(snapshot));
  }

  /** Replaces the policy and keeps what was observed. Throws when the core refuses it; the old one then stays. */
  loadPolicy(policy: Uint8Array): void {
    if (this.#running !== undefined) this.#keepSeen(this.#running);
    const next = this.#start(this.#policy, this.#seen); // the core itself carries over what both policies name
    load(next.routing, policy);
    this.#running = next;
    this.#policy = policy;
  }

  /** The size of the linear memory, in bytes; 0 where no instance is kept. */
  get memoryBytes(): number {
    return this.#running?.memory.buffer.byteLength ?? 0;
  }

  #current(): Instance {
    return (this.#running ??= this.#start(this.#policy, this.#seen));
  }

  /** What an old instance learns by the sessions that it still has, the one that took over learns too. */
  #advance(instance: Instance, event: Routing.Event): Routing.Action {
    const isOld = instance !== this.#running;
    const action = this.#ask(instance, ({ routing }) => routing.advance(event));
    if (isOld) for (const observation of action.observed) this.observe(observation);
    return action;
  }

  /** Asks an instance. It is dropped when it traps, and where it is larger than what is kept. */
  #ask<Answer>(instance: Instance, ask: (instance: Instance) => Answer): Answer {
    try {
      const answer = ask(instance);
      if (instance.memory.buffer.byteLength > instance.keptBytes) this.#drop(instance);
      return answer;
    } catch (error) {
      this.#drop(instance);
      throw error;
    }
  }

  #drop(instance: Instance): void {
    if (instance !== this.#running) return;
    this.#keepSeen(instance);
    this.#running = undefined;
  }

  #keepSeen({ routing }: Instance): void {
    try {
      this.#seen = routing.snapshot();
    } catch {
      // an instance that trapped may not answer: then what was kept before has to do
    }
  }
}

function start(
  instantiate: Instantiate,
  module: WebAssembly.Module,
  policy: Uint8Array,
  seen: Uint8Array,
  startCore: StartCore,
): Instance {
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
  load(routing, policy);
  if (seen.length > 0) routing.restore(seen);
  const keptBytes = Math.max(KEPT_MEMORY_BYTES, 2 * memory!.buffer.byteLength);
  return { routing, memory: memory!, keptBytes };
}

function load(routing: typeof Routing, policy: Uint8Array): void {
  const status = routing.loadPolicy(policy);
  if (status !== "ok") throw new Error(`the core refused the policy: ${status.replaceAll("-", " ")}`);
}
