/**
 * The Responses API and the Messages API, for clients and upstreams that both speak one of them.
 *
 * Events are passed on as they come. Another model takes over as long as the client has read no text; what has begun in
 * one of these APIs cannot be gone on with by another model, so from then on a fault ends the answer with an error.
 */

import {
  type Api,
  type Ask,
  BrokenOffError,
  type Json,
  MalformedError,
  type Piece,
  type Reading,
  type Shown,
  bearer,
  isObject,
  pieceOf,
  readJson,
} from "./api.ts";
import { parseRequest, readFields, readFlag } from "./asking.ts";
import type { Action, Finish } from "./engine.ts";
import { HttpError, RequestError } from "./errors.ts";
import type { ProxyTable } from "./proxy.ts";
import { EventStream, type HeaderFields, type Reply } from "./reply.ts";

const MESSAGES_VERSION = "2023-06-01";
const PASSED_ON = ["anthropic-version", "anthropic-beta", "openai-beta"];
const MESSAGES_FINISHES: Readonly<Record<string, Finish>> = {
  max_tokens: "length",
  tool_use: "tool-calls",
  refusal: "content-filter",
};

/** What the two APIs have in common: typed events, of which some carry text, and some end the answer. */
abstract class EventReading implements Reading {
  isOver = false;
  protected finish: Finish = "none";
  #inputTokens = 0;
  #outputTokens = 0;

  get isComplete(): boolean {
    return this.finish !== "none";
  }

  take(text: string): Piece {
    const data = readJson(text);
    if (typeof data["type"] !== "string") throw new MalformedError("an event without a type");
    const piece = pieceOf(data, text.length);
    this.takeEvent(data["type"], data, piece);
    return piece;
  }

  abstract takeWhole(text: string): Piece;

  protected abstract takeEvent(kind: string, data: Json, piece: Piece): void;

  end(): ReturnType<Reading["end"]> {
    return { finish: this.finish, inputTokens: this.#inputTokens, outputTokens: this.#outputTokens };
  }

  /** Takes in a usage object; what it leaves out stays. */
  protected count(usage: unknown): void {
    if (!isObject(usage)) return;
    const { input_tokens: input, output_tokens: output } = usage;
    if (Number.isInteger(input)) this.#inputTokens = Math.max(0, input as number);
    if (Number.isInteger(output)) this.#outputTokens = Math.max(0, output as number);
  }
}

/** Reads an answer of the Responses API. */
class ResponsesReading extends EventReading {
  protected takeEvent(kind: string, data: Json, piece: Piece): void {
    if (kind === "error" || kind === "response.failed") throw new BrokenOffError();
    if (kind === "response.output_text.delta") piece.text = textOf(data["delta"]);
    else if (kind === "response.output_item.added") piece.tool = isCall(data["item"]);
    else if (kind.endsWith(".delta")) piece.tokens = 1;
    else if (kind === "response.completed" || kind === "response.incomplete") {
      this.#finishWith(data["response"]);
      piece.finishes.set(0, this.finish);
      this.isOver = true;
    }
  }

  takeWhole(text: string): Piece {
    const data = readJson(text);
    const { error, output } = data;
    if (error !== undefined && error !== null) throw new BrokenOffError();
    if (!Array.isArray(output)) throw new MalformedError("no output");
    this.#finishWith(data);
    const piece = pieceOf(data, text.length);
    const parts = output.flatMap((item: unknown) => (isObject(item) ? (item["content"] ?? []) : []));
    piece.text = parts.map((part: unknown) => (isObject(part) ? textOf(part["text"]) : "")).join("");
    piece.tool = output.some(isCall);
    return piece;
  }

  #finishWith(response: unknown): void {
    if (!isObject(response)) throw new MalformedError("an end without a response");
    this.finish = response["status"] === "incomplete" ? "length" : "stop";
    this.count(response["usage"]);
  }
}

/** Reads an answer of the Messages API. */
class MessagesReading extends EventReading {
  protected takeEvent(kind: string, data: Json, piece: Piece): void {
    const delta = isObject(data["delta"]) ? data["delta"] : {};
    if (kind === "error") throw new BrokenOffError();
    if (kind === "message_start" && isObject(data["message"])) this.count(data["message"]["usage"]);
    else if (kind === "content_block_start") piece.tool = isToolUse(data["content_block"]);
    else if (kind === "content_block_delta") {
      piece.text = textOf(delta["text"]);
      piece.tokens = piece.text === "" ? 1 : 0;
    } else if (kind === "message_delta") {
      this.count(data["usage"]);
      this.#finishWith(delta);
      piece.finishes.set(0, this.finish);
    } else if (kind === "message_stop") {
      piece.finishes.set(0, this.finish);
      this.isOver = true;
    }
  }

  takeWhole(text: string): Piece {
    const data = readJson(text);
    if (data["type"] === "error") throw new BrokenOffError();
    const blocks = data["content"];
    if (!Array.isArray(blocks) || !blocks.every(isObject)) throw new MalformedError("no content");
    this.#finishWith(data);
    this.count(data["usage"]);
    const piece = pieceOf(data, text.length);
    piece.text = blocks.map((block) => textOf(block["text"])).join("");
    piece.tool = blocks.some(isToolUse);
    return piece;
  }

  #finishWith({ stop_reason: reason }: Json): void {
    this.finish = MESSAGES_FINISHES[String(reason)] ?? "stop";
  }
}

function isCall(item: unknown): boolean {
  return isObject(item) && String(item["type"] ?? "").endsWith("_call");
}

function isToolUse(block: unknown): boolean {
  return isObject(block) && block["type"] === "tool_use";
}

function textOf(value: unknown): string {
  const text = value ?? "";
  if (typeof text !== "string") throw new MalformedError("text that is not text");
  return text;
}

/** An API whose bodies are passed on with nothing but the model's name changed. */
export interface RelayedApi extends Api {
  /** The field that says how long the answer may be. */
  readonly limit: string;
  /** The conversation in a body, as messages of a request. Throws RequestError. */
  messages(body: Json): unknown[];
}

const passOn: Api["body"] = ({ body }, { model }) => JSON.stringify({ ...body, model });

export const RESPONSES: RelayedApi = {
  name: "responses",
  path: "/responses",
  resumes: false,
  limit: "max_output_tokens",
  read: () => new ResponsesReading(),
  headers: (key, ask) => ({ ...bearer(key), ...ask.headers }),
  body: passOn,
  messages({ input, instructions }) {
    const turns = typeof input === "string" ? [{ role: "user", content: input }] : input;
    if (!Array.isArray(turns)) throw new RequestError("neither text nor a list", "input");
    return [...systemTurn(instructions), ...turns.filter((turn) => isObject(turn) && "role" in turn)];
  },
};

export const MESSAGES: RelayedApi = {
  name: "messages",
  path: "/messages",
  resumes: false,
  limit: "max_tokens",
  read: () => new MessagesReading(),
  headers: (key, ask) => ({
    "anthropic-version": MESSAGES_VERSION,
    ...(key !== undefined && { "x-api-key": key }),
    ...ask.headers,
  }),
  body: passOn,
  messages({ messages, system }) {
    if (!Array.isArray(messages)) throw new RequestError("missing; a list of turns", "messages");
    return [...systemTurn(system), ...messages];
  },
};

function systemTurn(content: unknown): Json[] {
  return content === undefined || content === null ? [] : [{ role: "system", content }];
}

/** The ask in a body for one of these APIs. Throws HttpError naming the field. */
export function readRelayed(
  api: RelayedApi,
  data: unknown,
  headers: Headers,
  proxy: ProxyTable,
  tenant: string | undefined,
): Ask {
  const { router, body } = readFields(data, headers, proxy, tenant);
  const streams = readFlag(body, "stream");
  const messages = api.messages(body);
  const request = parseRequest({ messages, max_tokens: body[api.limit], stream: streams, ...router });
  const own = PASSED_ON.filter((name) => headers.has(name)).map((name) => [name, headers.get(name)!]);
  return {
    ...{ api, request, body, streams, headers: Object.fromEntries(own) },
    ...{ choices: 1, wantsUsage: false, explain: false },
  };
}

/** What the client reads: the events of the one model whose text it has seen, or a whole answer. */
export class RelayReply implements Reply {
  readonly response: Promise<Response>;
  readonly #ask: Ask;
  readonly #out: EventStream;
  #respond!: (response: Response) => void;
  #hasBegun = false;
  #text = "";
  #waiting: Piece[] = [];

  constructor(ask: Ask, left: () => void) {
    this.#ask = ask;
    this.#out = new EventStream(left);
    this.response = new Promise((resolve) => (this.#respond = resolve));
  }

  get shown(): Shown {
    return { text: this.#text, tokens: 0 };
  }

  /** What no text was shown of is forgotten. */
  beginCall(): void {
    this.#waiting = [];
  }

  /** Sends the events once there is text among them; those that end the answer wait for its end. */
  async show(pieces: readonly Piece[], headers: HeaderFields): Promise<void> {
    this.#waiting.push(...pieces);
    if (!this.#ask.streams || !(this.#hasBegun || this.#waiting.some(({ text }) => text !== ""))) return;
    const ready = this.#waiting.filter(({ finishes }) => finishes.size === 0);
    this.#waiting = this.#waiting.filter(({ finishes }) => finishes.size > 0);
    this.#text += ready.map(({ text }) => text).join("");
    await this.#send(ready, headers);
  }

  async finish(_: Action, headers: HeaderFields): Promise<void> {
    if (!this.#ask.streams) return this.#respond(Response.json(this.#waiting.at(-1)!.data, { headers }));
    await this.#send(this.#waiting, headers);
    this.#out.close();
  }

  async fail(error: HttpError, headers: HeaderFields): Promise<void> {
    const said = error.toJson();
    if (!this.#hasBegun) {
      const options = { status: error.status, headers: { ...error.headers, ...headers } };
      return this.#respond(Response.json({ type: "error", ...said }, options));
    }
    const data = this.#ask.api === MESSAGES ? said : said.error;
    await this.#send([pieceOf({ ...data, type: "error" }, 0)], headers);
    this.#out.close();
  }

  async #send(pieces: readonly Piece[], headers: HeaderFields): Promise<void> {
    if (!this.#hasBegun) this.#respond(this.#out.response(headers));
    this.#hasBegun = true;
    const events = pieces.map(({ data }) => `event: ${data["type"]}\ndata: ${JSON.stringify(data)}\n\n`);
    await this.#out.send(events.join(""));
  }
}
