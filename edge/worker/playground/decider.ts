/** The router in a thread of its own: takes requests from the page, answers with decisions and how long one took. */

import { Engine } from "../src/engine.ts";
import { HttpError } from "../src/errors.ts";
import { parseJson } from "../src/json.ts";
import { readRequest } from "../src/request.ts";
import { type Decider, route } from "../src/route.ts";
import { loadParts } from "./load.ts";
import type { Answer, Question } from "./messages.ts";

const MEASURE_MS = 12;
const BATCH = 8;
const MOST_REPETITIONS = 4000;

const parts = await loadParts(new URL(".", import.meta.url));
const started = performance.now();
const engine = new Engine(parts.instantiate, parts.core, parts.policy);
const startMs = performance.now() - started;
const decider: Decider = { engine, phrases: parts.phrases, about: parts.about, runtime: "browser" };

post({ kind: "ready", startMs, version: parts.about.version, needs: parts.phrases.needs });
addEventListener("message", async ({ data }: MessageEvent<Question>) => post(await answer(data)));

function post(message: Answer): void {
  postMessage(message);
}

async function answer({ id, request }: Question): Promise<Answer> {
  try {
    const body = await route(parseJson(request), decider).json();
    return { kind: "decision", id, decision: body, ...measure(request) };
  } catch (error) {
    const message = error instanceof HttpError ? error.message : `the router failed: ${String(error)}`;
    return { kind: "error", id, message };
  }
}

/** Decides again and again for some milliseconds: a browser's clock is too coarse for one decision. */
function measure(json: string): { microseconds: number; repetitions: number } {
  const request = readRequest(parseJson(json));
  const start = performance.now();
  let repetitions = 0;
  let now = start;
  while (now - start < MEASURE_MS && repetitions < MOST_REPETITIONS) {
    for (let count = 0; count < BATCH; count++) engine.decide(request);
    repetitions += BATCH;
    now = performance.now();
  }
  return { microseconds: ((now - start) * 1000) / repetitions, repetitions };
}
