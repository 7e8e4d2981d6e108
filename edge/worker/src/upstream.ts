/** Calls of upstreams: one HTTP request each, heard as the events that a session reads. */

import { BrokenOffError, MalformedError, type Piece, type Reading, isObject, readJson } from "./api.ts";
import type { Event, Fault } from "./engine.ts";
import type { Refusal } from "./errors.ts";
import { EventReader, EventTooLargeError } from "./sse.ts";

/** One event of a stream may be this large: with images in it they are not small. */
const MAX_EVENT_CHARACTERS = 4 * 2 ** 20;
const MAX_ANSWER_BYTES = 16 * 2 ** 20;
const READ_BYTES = 64 * 2 ** 10;

/** How long the usage, and the end of the stream, are waited for after the last finish reason. */
const AFTER_FINISH_MS = 500;
const ERROR_MS = 2000;
const MAX_ERROR_BYTES = 64 * 2 ** 10;
const MAX_ERROR_TEXT = 500;
const MAX_U32 = 2 ** 32 - 1;
const NOT_SPOKEN = 405;

/** What an event says; the session and what a kind does not have are filled in by whoever reports it. */
export type EventFields = Partial<Event> & Pick<Event, "kind">;

/** One thing that a call brought: its event, the piece that came with it, an upstream's own message. */
export interface Heard {
  readonly event: EventFields;
  readonly piece?: Piece;
  readonly message?: string;
}

/** What is asked of an upstream. */
export interface Question {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly streams: boolean;
  readonly reading: Reading;
  /** Unix time at which the call begins; 0: at once. */
  readonly notBeforeMs: number;
}

/** One call under way. It is read only as fast as it is taken from, which slows the upstream down. */
export class Call {
  readonly #heard: AsyncIterator<Heard>;
  readonly #stop: AbortController;
  #pending: Promise<IteratorResult<Heard>> | undefined;
  #wake: () => void = () => undefined;

  private constructor(heard: AsyncIterator<Heard>, stop: AbortController) {
    this.#heard = heard;
    this.#stop = stop;
  }

  /** Begins a call, at the time given. */
  static of(question: Question): Call {
    const stop = new AbortController();
    return new Call(hear(question, stop.signal), stop);
  }

  /** A call that is not made, to an endpoint that does not speak the client's API: nothing is observed of it. */
  static notSpoken(): Call {
    const heard = (async function* (): AsyncGenerator<Heard> {
      yield { event: { kind: "headers", status: NOT_SPOKEN } };
    })();
    return new Call(heard, new AbortController());
  }

  /** What is heard next; undefined where that is nothing until the Unix time given (0: never), or until `wake`. */
  async next(untilMs: number): Promise<Heard | undefined> {
    const pending = (this.#pending ??= this.#heard.next());
    const silence = new Promise<undefined>((resolve) => (this.#wake = () => resolve(undefined)));
    const timer = untilMs > 0 ? setTimeout(this.#wake, Math.max(0, untilMs - Date.now())) : null;
    const heard = await Promise.race([pending, silence]);
    clearTimeout(timer);
    if (heard === undefined) return undefined;
    this.#pending = undefined;
    return heard.done ? undefined : heard.value;
  }

  /** Lets `next` return. */
  wake(): void {
    this.#wake();
  }

  /** Ends the call: its connection is closed, so that the upstream stops writing. */
  cancel(): void {
    this.#stop.abort();
    this.#pending?.catch(() => undefined);
    this.#heard.return?.().catch(() => undefined);
  }
}

/** What went wrong between here and the upstream. */
class Broken extends Error {
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault);
    this.fault = fault;
  }
}

/** All that a call brings, in order. Its last event is an end, a fault, or headers that refuse. */
async function* hear(question: Question, signal: AbortSignal): AsyncGenerator<Heard> {
  try {
    const wait = question.notBeforeMs - Date.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    yield* hearResponse(await ask(question, signal), question);
  } catch (error) {
    if (!signal.aborted) yield { event: { kind: "fault", fault: faultOf(error) } };
  }
}

function faultOf(error: unknown): Fault {
  if (error instanceof Broken) return error.fault;
  if (error instanceof BrokenOffError) return "cut";
  if (error instanceof EventTooLargeError) return "too-large";
  if (!(error instanceof MalformedError)) console.error(error);
  return "malformed";
}

async function ask({ url, body, streams, ...given }: Question, signal: AbortSignal): Promise<Response> {
  const headers = {
    "content-type": "application/json",
    accept: streams ? "text/event-stream" : "application/json",
    "user-agent": "edgewise",
    ...given.headers,
  };
  try {
    return await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
  } catch {
    throw new Broken("unreachable");
  }
}

async function* hearResponse(response: Response, question: Question): AsyncGenerator<Heard> {
  const { status, headers } = response;
  if (status < 200 || status >= 300) {
    const message = status >= 400 && status < 500 ? await readErrorMessage(response) : "";
    await response.body?.cancel().catch(() => undefined);
    yield { event: { kind: "headers", status, retryAfterMs: readRetryAfter(headers) }, message };
    return;
  }
  yield { event: { kind: "headers", status } };
  const type = headers.get("content-type")?.split(";")[0]!.trim().toLowerCase();
  if (type !== (question.streams ? "text/event-stream" : "application/json")) throw new Broken("wrong-type");
  yield* question.streams ? hearStream(response, question.reading) : hearWhole(response, question.reading);
}

/** The chunks of a stream, and its end once the answer is complete and its usage had time to come. */
async function* hearStream(response: Response, reading: Reading): AsyncGenerator<Heard> {
  for await (const text of readEvents(response, () => reading.isComplete)) {
    const piece = reading.take(text);
    if (piece !== undefined) yield chunkOf(piece);
    if (reading.isOver) break;
  }
  if (!reading.isComplete) throw new Broken("cut");
  yield { event: { kind: "end", ...reading.end() } };
}

/** A whole answer: one chunk, then its end. */
async function* hearWhole(response: Response, reading: Reading): AsyncGenerator<Heard> {
  yield chunkOf(reading.takeWhole(await readText(response, MAX_ANSWER_BYTES)));
  yield { event: { kind: "end", ...reading.end() } };
}

function chunkOf(piece: Piece): Heard {
  const { text, tokens, logprobs, tool } = piece;
  return { event: { kind: "chunk", text, tokens, logprobs, tool }, piece };
}

/** The data of all events up to [DONE]. After the finish reasons neither silence nor a cut is a fault. */
async function* readEvents(response: Response, isComplete: () => boolean): AsyncGenerator<string> {
  const events = new EventReader(MAX_EVENT_CHARACTERS);
  for await (const bytes of readBody(response, MAX_ANSWER_BYTES, isComplete)) {
    for (const data of malformedWhereNotText(() => events.feed(bytes))) {
      if (data === "[DONE]") return;
      yield data;
    }
  }
}

/**
 * The body, piece by piece; a piece is gone when the next one is asked for. Throws Broken for a cut and EventTooLargeError.
 *
 * Where `isComplete`, the rest is waited for a little only, and does not count if it breaks off.
 */
async function* readBody(response: Response, limit: number, isComplete: () => boolean): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(READ_BYTES);
  let size = 0;
  try {
    while (reader !== undefined) {
      const { value, done } = await readPart(reader, buffer, isComplete);
      if (done) return;
      size += value.byteLength;
      if (size > limit) throw new EventTooLargeError();
      yield value;
      buffer = value.buffer as ArrayBuffer;
    }
  } finally {
    void reader?.cancel().catch(() => undefined);
  }
}

type Part = ReadableStreamReadResult<Uint8Array>;

async function readPart(
  reader: ReadableStreamBYOBReader,
  buffer: ArrayBuffer,
  isComplete: () => boolean,
): Promise<Part> {
  const end: Part = { done: true, value: undefined };
  const reading = reader.read(new Uint8Array(buffer)).catch((): Part => {
    if (isComplete()) return end;
    throw new Broken("cut");
  });
  return isComplete() ? within(AFTER_FINISH_MS, reading, end) : reading;
}

/** The whole body as text. Throws Broken, EventTooLargeError and MalformedError. */
async function readText(response: Response, limit: number): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const pieces: string[] = [];
  for await (const bytes of readBody(response, limit, () => false)) {
    pieces.push(malformedWhereNotText(() => decoder.decode(bytes, { stream: true })));
  }
  pieces.push(malformedWhereNotText(() => decoder.decode()));
  return pieces.join("");
}

function malformedWhereNotText<Text>(decode: () => Text): Text {
  try {
    return decode();
  } catch (error) {
    throw error instanceof TypeError ? new MalformedError("not UTF-8") : error;
  }
}

/** How long an upstream asks to wait, in milliseconds: in `retry-after-ms` or `retry-after`. */
function readRetryAfter(headers: Headers): number {
  const milliseconds = headers.get("retry-after-ms");
  const value = headers.get("retry-after") ?? "";
  const stated = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  const wait = milliseconds === null ? stated : Number(milliseconds);
  return Number.isFinite(wait) ? Math.min(Math.max(0, Math.floor(wait)), MAX_U32) : 0;
}

/** What the upstream says is wrong with the request, in at most a few hundred characters. */
async function readErrorMessage(response: Response): Promise<Refusal["message"]> {
  try {
    const text = await within(ERROR_MS, readText(response, MAX_ERROR_BYTES), "");
    const { error } = readJson(text);
    const message = isObject(error) ? error["message"] : error;
    return typeof message === "string" ? message.slice(0, MAX_ERROR_TEXT) : "";
  } catch {
    return "";
  }
}

/** What a promise gives, or something else where that takes too long. */
async function within<Value>(milliseconds: number, promise: Promise<Value>, otherwise: Value): Promise<Value> {
  let giveUp!: () => void;
  const late = new Promise<Value>((resolve) => (giveUp = () => resolve(otherwise)));
  const timer = setTimeout(giveUp, milliseconds);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
