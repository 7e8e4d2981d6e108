/** What the client reads: one well-formed answer, whoever writes it, as a stream of chunks or as a whole. */

import { type Ask, type Choice, type Json, type Piece, type Shown, isObject } from "./api.ts";
import { finishOf, isSaid, usageJson, wantsLogprobs } from "./chat.ts";
import { snake } from "./decision.ts";
import type { Action } from "./engine.ts";
import { HttpError } from "./errors.ts";

export type Overlap = (shown: string, fresh: string, whole: boolean) => number;
export type HeaderFields = Readonly<Record<string, string>>;

const SEND_MS = 60_000;
const STREAM_PIECES = 16;

/** Where an answer goes. */
export interface Reply {
  /** The answer as it is sent, once that has begun. */
  readonly response: Promise<Response>;
  /** What the client has read of the answer. */
  readonly shown: Shown;
  /** What is shown from now on was written by another model. */
  beginCall(model: string, resumes: boolean): void;
  /** Lets the client read more of the answer; `headers` go out with the first of it. */
  show(pieces: readonly Piece[], headers: HeaderFields): Promise<void>;
  /** The answer is complete. `about`: what the router says about it, for clients that asked. */
  finish(action: Action, headers: HeaderFields, about: Json | undefined): Promise<void>;
  /** There is no answer, or no more of it. */
  fail(error: HttpError, headers: HeaderFields): Promise<void>;
}

/** What all parts of one answer carry. */
function identity(): Json {
  return { id: `chatcmpl-${crypto.randomUUID().replaceAll("-", "")}`, created: Math.floor(Date.now() / 1000) };
}

/** The answer as one JSON object. It is never shown before it is complete. */
export class WholeReply implements Reply {
  readonly response: Promise<Response>;
  readonly shown: Shown = { text: "", tokens: 0 };
  readonly #ask: Ask;
  readonly #identity = identity();
  #respond!: (response: Response) => void;
  #model = "";
  #answer: Piece | undefined;

  constructor(ask: Ask) {
    this.#ask = ask;
    this.response = new Promise((resolve) => (this.#respond = resolve));
  }

  beginCall(model: string): void {
    this.#model = model;
    this.#answer = undefined;
  }

  async show(pieces: readonly Piece[]): Promise<void> {
    this.#answer = pieces.at(-1) ?? this.#answer;
  }

  async finish(action: Action, headers: HeaderFields, about: Json | undefined): Promise<void> {
    const { data, choices } = this.#answer!;
    const answer = {
      ...data,
      ...this.#identity,
      model: this.#model,
      choices: choices.map((choice) => this.#tidy(choice, action)),
      usage: usageJson(action.inputTokens, action.outputTokens, data["usage"]),
      ...(about && { edgewise: about }),
    };
    this.#respond(Response.json(answer, { headers }));
  }

  #tidy(choice: Choice, { finish }: Action): Json {
    const said = choice["finish_reason"];
    const isSame = this.#ask.choices > 1 || (typeof said === "string" && finishOf(said) === finish);
    return withoutLogprobs({ ...choice, finish_reason: isSame ? said : snake(finish) }, this.#ask);
  }

  async fail(error: HttpError, headers: HeaderFields): Promise<void> {
    this.#respond(error.toResponse(headers));
  }
}

/**
 * The answer as server-sent events: one beginning, one text, one end, even where several models wrote it.
 *
 * Nothing is sent before there is something to read, so that what fails before is a plain error with its status.
 */
export class StreamReply implements Reply {
  readonly response: Promise<Response>;
  readonly #ask: Ask;
  readonly #overlap: Overlap;
  readonly #out: EventStream;
  readonly #identity = { ...identity(), object: "chat.completion.chunk" };
  #respond!: (response: Response) => void;
  #hasBegun = false;
  #text = "";
  #pieces = 0;
  #model = "";
  #finishSaid = "";
  #usageSaid: unknown;
  /** The pieces of a resumed call, as long as it cannot be told what they repeat. */
  #unstitched: Piece[] | undefined;
  readonly #roles = new Set<number>();

  /** `left`: called when the client goes away, or reads nothing for long. */
  constructor(ask: Ask, overlap: Overlap, left: () => void) {
    this.#ask = ask;
    this.#overlap = overlap;
    this.#out = new EventStream(left);
    this.response = new Promise((resolve) => (this.#respond = resolve));
  }

  get shown(): Shown {
    return { text: this.#text, tokens: this.#pieces };
  }

  beginCall(model: string, resumes: boolean): void {
    this.#model = model;
    this.#finishSaid = "";
    this.#usageSaid = undefined;
    this.#unstitched = resumes ? [] : undefined;
  }

  async show(pieces: readonly Piece[], headers: HeaderFields): Promise<void> {
    await this.#send(this.#encode(this.#stitch(pieces, false)), headers);
  }

  async finish(action: Action, headers: HeaderFields, about: Json | undefined): Promise<void> {
    const events = [...this.#encode(this.#stitch([], true)), ...this.#encodeEnd(action, about)];
    if (this.#ask.wantsUsage) {
      const usage = usageJson(action.inputTokens, action.outputTokens, this.#usageSaid);
      events.push(eventOf({ ...this.#chunk([]), usage }));
    }
    await this.#send([...events, "data: [DONE]\n\n"], headers);
    this.#out.close();
  }

  async fail(error: HttpError, headers: HeaderFields): Promise<void> {
    if (!this.#hasBegun) return this.#respond(error.toResponse(headers));
    const events = this.#encode(this.#stitch([], true));
    await this.#send([...events, `event: error\n${eventOf(error.toJson())}`], headers);
    this.#out.close();
  }

  /** The pieces without what repeats the shown text; none while that cannot be told. */
  #stitch(pieces: readonly Piece[], whole: boolean): readonly Piece[] {
    if (this.#unstitched === undefined) return pieces;
    const fresh = [...this.#unstitched, ...pieces];
    const repeated = this.#overlap(this.#text, fresh.map(({ text }) => text).join(""), whole);
    this.#unstitched = repeated < 0 ? fresh : undefined;
    return repeated < 0 ? [] : drop(fresh, repeated);
  }

  #encode(pieces: readonly Piece[]): string[] {
    const events: string[] = [];
    for (const { choices, data, text } of pieces) {
      this.#usageSaid = data["usage"] ?? this.#usageSaid;
      const tidy = choices.map((choice) => this.#tidy(choice)).filter((choice) => choice !== undefined);
      if (tidy.length === 0) continue;
      events.push(eventOf(this.#chunk(tidy, data)));
      this.#text += text;
      this.#pieces++;
    }
    return events;
  }

  /** A choice with the role the first time only, and without a finish reason; undefined where nothing is left. */
  #tidy(choice: Choice): Json | undefined {
    const index = choice.index ?? 0;
    const { role: _, ...delta } = choice.delta ?? {};
    const said = choice["finish_reason"];
    if (this.#ask.choices === 1 && typeof said === "string") this.#finishSaid = said;
    const finish = this.#ask.choices > 1 ? (said ?? null) : null;
    if (finish === null && !Object.values(delta).some(isSaid)) return undefined;
    const isFirst = !this.#roles.has(index);
    this.#roles.add(index);
    const begun = isFirst ? { role: "assistant", ...delta } : delta;
    return withoutLogprobs({ ...choice, delta: begun, finish_reason: finish }, this.#ask);
  }

  #encodeEnd({ finish }: Action, about: Json | undefined): string[] {
    if (this.#ask.choices > 1 && about === undefined) return [];
    const isSame = this.#finishSaid !== "" && finishOf(this.#finishSaid) === finish;
    const end = {
      index: 0,
      delta: this.#roles.size > 0 ? {} : { role: "assistant", content: "" },
      finish_reason: isSame ? this.#finishSaid : snake(finish),
    };
    const chunk = this.#chunk(this.#ask.choices === 1 ? [end] : []);
    return [eventOf({ ...chunk, ...(about && { edgewise: about }) })];
  }

  #chunk(choices: Json[], data: Json = {}): Json {
    const { usage: _, ...fields } = data;
    return { ...fields, ...this.#identity, model: this.#model, choices };
  }

  async #send(events: readonly string[], headers: HeaderFields): Promise<void> {
    if (events.length === 0) return;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#respond(this.#out.response(headers));
    }
    await this.#out.send(events.join(""));
  }
}

/** The body of a response that is written while it is read: whoever writes waits for a client that reads slowly. */
export class EventStream {
  readonly #readable: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  readonly #left: () => void;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #isOpen = true;
  #resume: () => void = () => undefined;

  constructor(left: () => void) {
    this.#left = left;
    this.#readable = new ReadableStream(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => this.#resume(),
        cancel: () => this.#leave(),
      },
      { highWaterMark: STREAM_PIECES },
    );
  }

  /** The response that it is the body of. */
  response(headers: HeaderFields): Response {
    const named = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", ...headers };
    return new Response(this.#readable, { headers: named });
  }

  async send(text: string): Promise<void> {
    if (!this.#isOpen) return;
    this.#controller.enqueue(this.#encoder.encode(text));
    if ((this.#controller.desiredSize ?? 1) > 0) return;
    const timer = setTimeout(() => this.#leave(), SEND_MS);
    await new Promise<void>((resolve) => (this.#resume = resolve));
    clearTimeout(timer);
  }

  close(): void {
    if (this.#isOpen) this.#controller.close();
    this.#isOpen = false;
  }

  #leave(): void {
    this.#isOpen = false;
    this.#left();
    this.#resume();
  }
}

function withoutLogprobs(choice: Json, ask: Ask): Json {
  if (wantsLogprobs(ask)) return choice;
  const { logprobs: _, ...others } = choice;
  return others;
}

function eventOf(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** The pieces without the first `size` bytes of their text; log-probabilities of what is cut go with it. */
function drop(pieces: readonly Piece[], size: number): readonly Piece[] {
  let left = size;
  return pieces.map((piece) => {
    const bytes = new TextEncoder().encode(piece.text);
    const cut = Math.min(left, bytes.length);
    left -= cut;
    if (cut === 0) return piece;
    const text = new TextDecoder().decode(bytes.subarray(cut));
    const choices = piece.choices.map((choice) => {
      if ((choice.index ?? 0) !== 0) return choice;
      const { logprobs: _, ...others } = choice;
      return { ...others, delta: { ...(isObject(choice.delta) ? choice.delta : {}), content: text } };
    });
    return { ...piece, text, choices };
  });
}
