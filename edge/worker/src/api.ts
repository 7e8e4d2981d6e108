/** What every API of upstreams has in common: how an answer is read, and how a call is made. */

import type { Event, Request } from "./engine.ts";
import type { Endpoint } from "./proxy.ts";

export type Json = Record<string, unknown>;

/** What an upstream sent is not what the API says. */
export class MalformedError extends Error {}

/** An upstream says inside its answer that it cannot go on. */
export class BrokenOffError extends Error {}

/** One choice of a chunk or an answer, as it came. */
export type Choice = Json & { readonly index?: number; readonly delta?: Json; readonly message?: Json };

/** One payload chunk of an upstream, or its whole answer: the JSON, and what the monitor reads of it. */
export interface Piece {
  readonly data: Json;
  /** Of chat completions: the choices in `data`. */
  readonly choices: Choice[];
  /** In characters, as it came. */
  readonly size: number;
  text: string;
  tokens: number;
  logprobs: Int32Array;
  tool: boolean;
  /** The finish reason of each choice that ends with it, by index, in the upstream's own words. */
  readonly finishes: Map<number, string>;
}

/** The beginning of an answer that the client has read, to go on from, and about how many tokens that is. */
export interface Shown {
  readonly text: string;
  readonly tokens: number;
}

/** One request of a client. */
export interface Ask {
  readonly api: Api;
  readonly request: Request;
  /** What is passed on. */
  readonly body: Json;
  readonly streams: boolean;
  /** How many answers it wants at once. */
  readonly choices: number;
  readonly wantsUsage: boolean;
  readonly explain: boolean;
  /** The client's headers that belong to the API. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Reads one answer: its events or its whole body as pieces, and how it ended. */
export interface Reading {
  /** The answer has all its text and its finish reason; perhaps its usage still comes. */
  readonly isComplete: boolean;
  /** Nothing follows that belongs to the answer. */
  readonly isOver: boolean;
  /** The payload of an event, by its data. Throws MalformedError and BrokenOffError. */
  take(text: string): Piece | undefined;
  /** The payload of a whole answer. Throws MalformedError and BrokenOffError. */
  takeWhole(text: string): Piece;
  /** The finish reason and the usage. */
  end(): Pick<Event, "finish" | "inputTokens" | "outputTokens">;
}

/** An API that clients and upstreams speak. */
export interface Api {
  readonly name: string;
  readonly path: string;
  /** Whether a model can be made to go on with an answer that another one began. */
  readonly resumes: boolean;
  read(ask: Ask): Reading;
  /** What an upstream is sent beside the body: the key of the endpoint, and headers that belong to the API. */
  headers(key: string | undefined, ask: Ask): Record<string, string>;
  /** What an upstream is sent: the client's body with the upstream's name of the model, to go on from what was shown. */
  body(ask: Ask, endpoint: Endpoint, shown: Shown | undefined): string;
}

/** The key as most APIs want it. */
export function bearer(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}

/** A piece of nothing yet. */
export function pieceOf(data: Json, size: number, choices: Choice[] = []): Piece {
  return { data, choices, size, text: "", tokens: 0, logprobs: new Int32Array(), tool: false, finishes: new Map() };
}

/** The object that an upstream sent. Throws MalformedError. */
export function readJson(text: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new MalformedError("not JSON");
  }
  if (!isObject(value)) throw new MalformedError("not an object");
  return value;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
