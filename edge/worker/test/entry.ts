/** The Worker with doors for tests and the bench: decisions by the thousand, raw, and timed from outside. Never shipped. */

import about from "../generated/about.json";
import phrases from "../generated/phrases.json";
import policy from "../generated/policy.bin";
import core from "../generated/router.core.wasm";
import { instantiate } from "../generated/router.js";
import { capitalize, snake } from "../src/decision.ts";
import { type Decision, Engine } from "../src/engine.ts";
import { HttpError } from "../src/errors.ts";
import { type Host, handle, route } from "../src/http.ts";
import { parseJson } from "../src/json.ts";
import { readRequest } from "../src/request.ts";

const ROUTE = "edgewise:router/routing@0.1.0#route";

/** How often the core runs for each call of `route`. */
let repetitions = 1;

/** The core module with a `route` that runs `repetitions` times on the same request before it returns. */
function startRepeating(module: WebAssembly.Module, imports?: WebAssembly.Imports): WebAssembly.Instance {
  const { exports } = new WebAssembly.Instance(module, imports);
  const once = exports[ROUTE] as (address: number) => number;
  const repeat = (address: number): number => {
    for (let left = repetitions; left > 1; left--) once(address);
    return once(address);
  };
  return { exports: { ...exports, [ROUTE]: repeat } };
}

const engine = new Engine(instantiate, core, new Uint8Array(policy), startRepeating);
const host: Host = { engine, phrases, about, runtime: "workerd" };

export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const times = (name: string): number => Number(searchParams.get(name) ?? 1);
    switch (pathname) {
      case "/test/decisions":
        return decideLines(await request.text());
      case "/test/policy":
        return loadPolicy(new Uint8Array(await request.arrayBuffer()));
      case "/test/repeat":
        return repeatDecision(await request.text(), times("calls"), times("inside"));
      case "/test/start":
        return startTimes(times("times"));
      default:
        return handle(request, host);
    }
  },
};

/** One line of JSON for each line: the decision as the core gives it and as clients see it, or the error. */
async function decideLines(body: string): Promise<Response> {
  const answers: string[] = [];
  for (const line of body.split("\n")) {
    if (line !== "") answers.push(await decideLine(line));
  }
  return new Response(answers.join("\n"));
}

async function decideLine(line: string): Promise<string> {
  try {
    const decision = engine.decide(readRequest(parseJson(line)));
    const json = decision.status === "ok" ? await route(line, host).json() : null;
    return toJson({ decision: rawDecision(decision), json });
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    return toJson({ error: error.message, param: error.param });
  }
}

/** The decision with the field names and the labels of the Python host; every number is the core's integer. */
function rawDecision(decision: Decision): object {
  const fields = Object.entries(decision).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ]);
  return {
    ...Object.fromEntries(fields),
    status: snake(decision.status),
    domain: snake(decision.domain),
    script: capitalize(decision.script),
    task_scores: Object.values(decision.taskScores),
    reasons: decision.reasons.map(({ code, model, value }) => [snake(code), model, value]),
  };
}

/** JSON in which a big integer is a string. */
function toJson(value: object): string {
  return JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? String(one) : one));
}

function loadPolicy(blob: Uint8Array): Response {
  try {
    engine.loadPolicy(blob);
    return new Response("ok");
  } catch (error) {
    return new Response(String(error), { status: 400 });
  }
}

/** Calls the typed interface `calls` times, each of which runs the core `inside` times. */
function repeatDecision(body: string, calls: number, inside: number): Response {
  const request = readRequest(parseJson(body));
  repetitions = inside;
  for (let call = 0; call < calls; call++) engine.decide(request);
  repetitions = 1;
  return Response.json({ memory_bytes: engine.memoryBytes });
}

/** Starts so many routers, each with its policy. */
function startTimes(times: number): Response {
  for (let time = 0; time < times; time++) new Engine(instantiate, core, new Uint8Array(policy));
  return new Response("ok");
}
