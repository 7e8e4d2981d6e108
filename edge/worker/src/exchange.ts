/**
 * One exchange: a client's request, the calls that are made for it, and its answer.
 *
 * All decisions are the session's in the core: whom to call, what may be shown, when to give up. This module does what
 * each action says, and reports what happens.
 */

import type { Ask, Json, Piece } from "./api.ts";
import { dollarsText, snake } from "./decision.ts";
import type { Action, Decision, Event, Observation, Session } from "./engine.ts";
import { OPERATORS_FAULT, type Refusal, internal, unanswered } from "./errors.ts";
import type { ProxyTable } from "./proxy.ts";
import type { HeaderFields, Reply } from "./reply.ts";
import { Call, type EventFields, type Heard } from "./upstream.ts";

/** How much of an answer may be held back, in characters. */
const MAX_HELD = 8 * 2 ** 20;

/** What an exchange needs of the Worker around it. */
export interface Surroundings {
  readonly proxy: ProxyTable;
  /** The Worker's secrets, by name. */
  readonly secrets: Readonly<Record<string, unknown>>;
  /** Takes what was observed to whoever shares it. */
  share(observations: readonly Observation[]): void;
  /** The decision in the JSON that clients get. */
  describe(decision: Decision, id: string): Json;
  /** A model has answered, and read so many tokens of the conversation. */
  remember(model: string, tokens: number): void;
}

/** Obeys one session from its opening to its end. */
export class Exchange {
  readonly #ask: Ask;
  readonly #decision: Decision;
  readonly #session: Session;
  readonly #reply: Reply;
  readonly #around: Surroundings;
  readonly #calls: { model: string; reason: string }[] = [];
  #call: Call | undefined;
  #held: Piece[] = [];
  #heldSize = 0;
  #taken = 0;
  #refusal: Refusal = { status: 0, message: "" };
  #isClientGone = false;

  constructor(ask: Ask, decision: Decision, session: Session, reply: Reply, around: Surroundings) {
    this.#ask = ask;
    this.#decision = decision;
    this.#session = session;
    this.#reply = reply;
    this.#around = around;
  }

  /** The client went away: the session hears of it next, and ends. */
  leave(): void {
    this.#isClientGone = true;
    this.#call?.wake();
  }

  /** Answers the client. Never throws: what nobody foresaw is logged, and said as far as that is still possible. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (error) {
      console.error(error);
      await this.#reply.fail(internal(), {});
    } finally {
      this.#call?.cancel();
    }
  }

  async #run(): Promise<void> {
    let { action } = this.#session;
    while (action.kind !== "finish" && action.kind !== "fail") {
      await this.#show(action);
      if (action.kind === "call") {
        if (action.resume && !this.#ask.api.resumes) return this.#giveUp(action);
        this.#beginCall(action);
      }
      action = this.#session.advance(this.#hear(await this.#next(Number(action.deadlineMs))));
      if (action.observed.length > 0) this.#around.share(action.observed);
    }
    await this.#show(action);
    await this.#end(action);
  }

  async #next(untilMs: number): Promise<Heard> {
    const heard = this.#isClientGone ? undefined : await this.#call!.next(untilMs);
    if (this.#isClientGone) return { event: { kind: "gone" } };
    return heard ?? { event: { kind: "timer" } };
  }

  /** The event for what was heard; a piece is held until it may be shown. */
  #hear({ event, piece, message }: Heard): Omit<Event, "session"> {
    if (event.kind === "headers" && event.status! >= 400) {
      this.#refusal = { status: event.status!, message: message ?? "" };
      if (OPERATORS_FAULT.includes(event.status!)) {
        console.warn(`${this.#calls.at(-1)!.model} is not set up: its endpoint answers ${event.status}`);
      }
    }
    if (piece !== undefined) {
      this.#held.push(piece);
      this.#heldSize += piece.size;
      if (this.#ask.streams && this.#heldSize > MAX_HELD) return filled({ kind: "fault", fault: "too-large" });
    }
    return filled(event);
  }

  /** Lets the client read the pieces up to `action.show` of the call under way. */
  async #show({ show }: Action): Promise<void> {
    const pieces = this.#held.splice(0, Math.max(0, show - this.#taken));
    this.#taken += pieces.length;
    for (const { size } of pieces) this.#heldSize -= size;
    if (pieces.length > 0) await this.#reply.show(pieces, this.#headers());
  }

  /** Drops what is held of the call under way, ends it, and begins the next one. */
  #beginCall(action: Action): void {
    this.#call?.cancel();
    this.#held = [];
    this.#heldSize = this.#taken = 0;
    this.#calls.push({ model: action.model, reason: snake(action.reason) });
    this.#reply.beginCall(action.model, action.resume);
    this.#call = this.#makeCall(action);
  }

  #makeCall({ model, resume, notBeforeMs }: Action): Call {
    const { proxy, secrets } = this.#around;
    const { api, streams } = this.#ask;
    const endpoint = proxy.models[model]?.endpoint ?? undefined;
    if (endpoint === undefined || !endpoint.api.includes(api.name)) return Call.notSpoken();
    const key = endpoint.api_key_env === null ? undefined : secrets[endpoint.api_key_env];
    if (endpoint.api_key_env !== null && typeof key !== "string") {
      console.error(`${model} is not called: the Worker has no secret ${endpoint.api_key_env}`);
      return Call.notSpoken();
    }
    return Call.of({
      url: endpoint.base_url.replace(/\/+$/, "") + api.path,
      headers: api.headers(key as string | undefined, this.#ask),
      body: api.body(this.#ask, endpoint, resume ? this.#reply.shown : undefined),
      streams,
      reading: api.read(this.#ask),
      notBeforeMs: Number(notBeforeMs),
    });
  }

  async #end(action: Action): Promise<void> {
    if (action.kind === "fail") {
      await this.#reply.fail(unanswered(snake(action.reason), this.#refusal), this.#headers());
      return;
    }
    await this.#reply.finish(action, this.#headers(), this.#ask.explain ? this.#explain() : undefined);
    this.#around.remember(this.#calls.at(-1)!.model, action.inputTokens + action.outputTokens);
  }

  /** What has begun in an API that cannot be gone on with ends here; the session ends as if nobody read on. */
  async #giveUp({ reason }: Action): Promise<void> {
    await this.#reply.fail(unanswered(snake(reason), this.#refusal), this.#headers());
    const { observed } = this.#session.advance(filled({ kind: "gone" }));
    if (observed.length > 0) this.#around.share(observed);
  }

  #explain(): Json {
    return { ...this.#around.describe(this.#decision, this.#ask.request.id), calls: this.#calls };
  }

  /** What the client is told about the decision; all in ASCII. */
  #headers(): HeaderFields {
    const { request } = this.#ask;
    const decision = this.#decision;
    const headers = {
      "x-edgewise-model": this.#calls.at(-1)?.model ?? decision.model,
      "x-edgewise-task": decision.task,
      "x-edgewise-reasons": decision.reasons.map(({ code }) => snake(code)).join(","),
      "x-edgewise-calls": String(this.#calls.length),
      "x-edgewise-estimated-cost-usd": dollarsText(decision.cost, 9),
      "x-edgewise-session": request.session,
      "x-request-id": request.id,
    };
    return Object.fromEntries(Object.entries(headers).filter(([, value]) => /^[ -~]+$/.test(value)));
  }
}

const NOTHING: Omit<Event, "session" | "kind" | "atMs"> = {
  status: 0,
  retryAfterMs: 0,
  text: "",
  tokens: 0,
  logprobs: new Int32Array(),
  tool: false,
  finish: "none",
  fault: "none",
  inputTokens: 0,
  outputTokens: 0,
};

/** The event, now, with nothing in the fields that its kind does not have. */
function filled(event: EventFields): Omit<Event, "session"> {
  return { ...NOTHING, ...event, atMs: BigInt(Date.now()) };
}
