/** Decisions alone: what `POST /v1/route` answers, in a Worker and in the playground. */

import { type Phrases, decisionJson, droppedModels, sentence } from "./decision.ts";
import type { Decision, Engine, Instantiate } from "./engine.ts";
import { HttpError, RequestError } from "./errors.ts";
import { readRequest } from "./request.ts";

/** What the bundle was built from. */
export interface About {
  readonly version: string;
  readonly model_version: string;
  readonly backend: string;
}

/** The built router, however a runtime came by it. */
export interface Parts {
  readonly instantiate: Instantiate;
  readonly core: WebAssembly.Module;
  readonly policy: Uint8Array;
  readonly phrases: Phrases;
  readonly about: About;
}

/** What decides, and what says it in words. */
export interface Decider {
  readonly engine: Engine;
  readonly phrases: Phrases;
  readonly about: About;
  /** The name of what runs the core here. */
  readonly runtime: string;
}

/** The answer to one request. Throws HttpError. */
export function route(data: unknown, decider: Decider): Response {
  const request = readRequest(data);
  const decision = decider.engine.decide(request);
  requireModel(decision, decider.phrases);
  return Response.json(describeDecision(decision, request.id, decider));
}

/** The whole JSON shape of a decision: with the request's id, and with what decided. */
export function describeDecision(decision: Decision, id: string, decider: Decider): Record<string, unknown> {
  return { id, ...decisionJson(decision, decider.phrases), edgewise: describe(decider) };
}

export function describe({ about, runtime }: Decider): object {
  return { ...about, engine: runtime };
}

/** Throws HttpError where no model was chosen. */
export function requireModel(decision: Decision, phrases: Phrases): void {
  if (decision.status === "no-feasible-model") throw noFeasibleModel(decision, phrases);
  if (decision.status === "empty-request") throw new RequestError("empty; give at least one message", "messages");
  if (decision.status !== "ok") throw new Error(`the core gave no decision: ${decision.status}`);
}

function noFeasibleModel(decision: Decision, phrases: Phrases): HttpError {
  const dropped = droppedModels(decision, phrases);
  const more = decision.dropped - dropped.length;
  const about = decision.reasons.filter(({ model }) => !model).map((reason) => sentence(reason, phrases));
  const lines = [...about, ...dropped.map(({ text }) => text)].map((text) => `  ${text}`);
  if (more > 0) lines.push(`  ... and ${more} more`);
  const message = `no model can serve this request:\n${lines.join("\n")}`;
  return new HttpError(422, "no_feasible_model", message, { details: { dropped, dropped_count: decision.dropped } });
}
