/** Doors for tests and the bench: decisions by the thousand, raw, and timed from outside. Never shipped. */

import { capitalize, snake } from "../src/decision.ts";
import { type Action, type Decision, Engine, type Event, type Observation } from "../src/engine.ts";
import { HttpError } from "../src/errors.ts";
import { Rates } from "../src/admission.ts";
import { Conversations } from "../src/conversations.ts";
import { type Host, handle } from "../src/http.ts";
import { parseJson } from "../src/json.ts";
import { NO_PROXY } from "../src/proxy.ts";
import { readRequest } from "../src/request.ts";
import { type Parts, route } from "../src/route.ts";

const ROUTE = "edgewise:router/routing@0.1.0#route";

/** Answers HTTP requests with the router, and those to /test/ with what only tests may ask. */
export class Doors {
  readonly #parts: Parts;
  readonly #engine: Engine;
  readonly #host: Host;
  /** How often the core runs for each call of `route`. */
  #repetitions = 1;

  constructor(parts: Parts, runtime: string) {
    const { instantiate, core, policy, phrases, about } = parts;
    this.#parts = parts;
    this.#engine = new Engine(instantiate, core, policy, (module, imports) => this.#startRepeating(module, imports));
    this.#host = {
      ...{ engine: this.#engine, phrases, about, runtime },
      ...{ proxy: NO_PROXY, secrets: {}, rates: new Rates(), conversations: new Conversations() },
      share: () => undefined,
      later: () => undefined,
    };
  }

  async answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const times = (name: string): number => Number(searchParams.get(name) ?? 1);
    switch (pathname) {
      case "/test/decisions":
        return this.#decideLines(await request.text());
      case "/test/session":
        return this.#followSession(parseJson(await request.text()) as Step);
      case "/test/observe":
        return new Response(toJson(this.#engine.observe(readObservation(parseJson(await request.text())))));
      case "/test/snapshot":
        return new Response(this.#engine.snapshot().slice());
      case "/test/restore":
        return new Response(toJson(this.#engine.restore(new Uint8Array(await request.arrayBuffer()))));
      case "/test/policy":
        return this.#loadPolicy(new Uint8Array(await request.arrayBuffer()));
      case "/test/repeat":
        return this.#repeatDecision(await request.text(), times("calls"), times("inside"));
      case "/test/start":
        return this.#startTimes(times("times"));
      default:
        return handle(request, this.#host);
    }
  }

  /** The core module with a `route` that runs `repetitions` times on the same request before it returns. */
  #startRepeating(module: WebAssembly.Module, imports?: WebAssembly.Imports): WebAssembly.Instance {
    const { exports } = new WebAssembly.Instance(module, imports);
    const once = exports[ROUTE] as (address: number) => number;
    const repeat = (address: number): number => {
      for (let left = this.#repetitions; left > 1; left--) once(address);
      return once(address);
    };
    return { exports: { ...exports, [ROUTE]: repeat } };
  }

  /** One line of JSON for each line: the decision as the core gives it and as clients see it, or the error. */
  async #decideLines(body: string): Promise<Response> {
    const answers: string[] = [];
    for (const line of body.split("\n")) {
      if (line !== "") answers.push(await this.#decideLine(line));
    }
    return new Response(answers.join("\n"));
  }

  async #decideLine(line: string): Promise<string> {
    try {
      const decision = this.#engine.decide(readRequest(parseJson(line)));
      const json = decision.status === "ok" ? await route(parseJson(line), this.#host).json() : null;
      return toJson({ decision: rawDecision(decision), json });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      return toJson({ error: error.message, param: error.param });
    }
  }

  /** Opens a session, reports an event to it, or compares the text of two calls. */
  #followSession(step: Step): Response {
    if ("open" in step) {
      const { decision, session } = this.#engine.open(readRequest(step.open));
      return new Response(toJson({ decision: rawDecision(decision), action: rawAction(session.action) }));
    }
    if ("advance" in step) return new Response(toJson(rawAction(this.#engine.advance(readEvent(step.advance)))));
    return new Response(toJson(this.#engine.overlap(...step.overlap)));
  }

  #loadPolicy(blob: Uint8Array): Response {
    try {
      this.#engine.loadPolicy(blob);
      return new Response("ok");
    } catch (error) {
      return new Response(String(error), { status: 400 });
    }
  }

  /** Calls the typed interface `calls` times, each of which runs the core `inside` times. */
  #repeatDecision(body: string, calls: number, inside: number): Response {
    const request = readRequest(parseJson(body));
    this.#repetitions = inside;
    for (let call = 0; call < calls; call++) this.#engine.decide(request);
    this.#repetitions = 1;
    return Response.json({ memory_bytes: this.#engine.memoryBytes });
  }

  /** Starts so many routers, each with its policy. */
  #startTimes(times: number): Response {
    const { instantiate, core, policy } = this.#parts;
    for (let time = 0; time < times; time++) new Engine(instantiate, core, policy);
    return new Response("ok");
  }
}

/** What a session is asked; names and labels are those of the Python host, here and in all that follows. */
type Step = { open: unknown } | { advance: Fields } | { overlap: [string, string, boolean] };
type Fields = Record<string, string | number | boolean | number[]>;

/** The event in the contract's names. */
function readEvent(event: Fields): Event {
  const fault = String(event["fault"]).replaceAll("_", "-");
  const finish = String(event["finish"]).replaceAll("_", "-");
  const logprobs = Int32Array.from(event["logprobs"] as number[]);
  return { ...camelCased(event), atMs: BigInt(Number(event["at_ms"])), logprobs, fault, finish } as unknown as Event;
}

function readObservation(observation: unknown): Observation {
  const fields = observation as Fields;
  const outcome = String(fields["outcome"]).replaceAll("_", "-");
  const [cost, atMs] = [BigInt(String(fields["cost"])), BigInt(Number(fields["at_ms"]))];
  return { ...camelCased(fields), outcome, cost, atMs } as unknown as Observation;
}

function rawAction(action: Action): object {
  const observed = action.observed.map((one) => ({ ...snakeCased(one), outcome: snake(one.outcome) }));
  return {
    ...snakeCased(action),
    reason: snake(action.reason),
    finish: snake(action.finish),
    observed: observed[0] ?? null,
  };
}

function camelCased(fields: Fields): Fields {
  const camel = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [camel(name), value]));
}

function snakeCased(fields: object): object {
  const snaked = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [snaked(name), value]));
}

/** The decision with the field names and the labels of the Python host; every number is the core's integer. */
function rawDecision(decision: Decision): object {
  return {
    ...snakeCased(decision),
    status: snake(decision.status),
    domain: snake(decision.domain),
    script: capitalize(decision.script),
    task_scores: Object.values(decision.taskScores),
    reasons: decision.reasons.map(({ code, model, value }) => [snake(code), model, value]),
  };
}

/** JSON in which a big integer is a string. */
function toJson(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? String(one) : one));
}
