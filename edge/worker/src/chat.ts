/** Chat completions, the API that clients and upstreams speak: what is read from its JSON, and what is written. */

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
import type { Event, Finish } from "./engine.ts";
import { roundHalfEven } from "./numbers.ts";
import type { Endpoint } from "./proxy.ts";

const RESUME_INSTRUCTION =
  "Your last message broke off. Go on exactly where it stopped, in the same language and format: no greeting, no" +
  " comment, and not one word of it again.";

const FINISHES: Readonly<Record<string, Finish>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool-calls",
  function_call: "tool-calls",
  content_filter: "content-filter",
};
const LIMITS = ["max_tokens", "max_completion_tokens"];
const BYTES_PER_TOKEN = 4;
const LEAST_LOGPROB = -1e6;
const MAX_U32 = 2 ** 32 - 1;

/** Chat completions. */
export const CHAT: Api = {
  name: "chat",
  path: "/chat/completions",
  resumes: true,
  read: ({ choices }) => new ChatReading(choices),
  headers: (key) => bearer(key),
  body: upstreamBody,
};

/** Reads an answer of so many choices. */
class ChatReading implements Reading {
  readonly isOver = false; // [DONE] says so
  readonly #choices: number;
  #finishes = new Map<number, string>();
  #usage: unknown;

  constructor(choices: number) {
    this.#choices = choices;
  }

  get isComplete(): boolean {
    return this.#finishes.size >= this.#choices;
  }

  take(text: string): Piece | undefined {
    const data = readJson(text);
    refuseError(data);
    if (isObject(data["usage"])) this.#usage = data["usage"];
    const piece = readPiece(data, "delta", text.length);
    for (const [index, reason] of piece?.finishes ?? []) this.#finishes.set(index, reason);
    return piece;
  }

  takeWhole(text: string): Piece {
    const data = readJson(text);
    refuseError(data);
    const piece = readPiece(data, "message", text.length);
    if (piece === undefined) throw new MalformedError("no choices");
    this.#finishes = piece.finishes;
    this.#usage = data["usage"];
    return piece;
  }

  end(): ReturnType<Reading["end"]> {
    const reason = this.#finishes.size > 0 ? this.#finishes.get(Math.min(...this.#finishes.keys()))! : "stop";
    return { finish: finishOf(reason), ...readUsage(this.#usage) };
  }
}

/** An error in place of an answer. */
function refuseError(data: Json): void {
  if ("error" in data && !("choices" in data)) throw new BrokenOffError();
}

/**
 * The payload in a chunk (`part` is "delta") or in a whole answer ("message"); undefined where no choice is in it.
 *
 * The text is that of the first choice: the others are passed on unwatched. Throws MalformedError.
 */
function readPiece(data: Json, part: "delta" | "message", size: number): Piece | undefined {
  const { choices, ...others } = data;
  if (!Array.isArray(choices)) {
    if ((choices === undefined || choices === null) && "usage" in data) return undefined;
    throw new MalformedError("no choices");
  }
  if (choices.length === 0) return undefined;
  const piece = pieceOf(others, size, choices);
  for (const choice of choices as unknown[]) {
    const content = isObject(choice) ? (choice[part] ?? {}) : undefined;
    if (!isObject(choice) || !isObject(content)) throw new MalformedError(`a choice without ${part}`);
    readChoice(choice, content, piece);
  }
  return piece;
}

function readChoice(choice: Json, part: Json, piece: Piece): void {
  const index = choice["index"] ?? 0;
  const content = part["content"] ?? "";
  if (typeof index !== "number" || typeof content !== "string") throw new MalformedError("content that is not text");
  piece.tool ||= isSaid(part["tool_calls"]) || isSaid(part["function_call"]);
  if (typeof choice["finish_reason"] === "string") piece.finishes.set(index, choice["finish_reason"]);
  if (index > 0) return;
  piece.text = content;
  const reasoning = part["reasoning_content"] || part["reasoning"] || part["refusal"];
  if (typeof reasoning === "string" && content === "") {
    piece.tokens = Math.floor(reasoning.length / BYTES_PER_TOKEN) + 1;
  }
  if (isObject(choice["logprobs"])) {
    piece.logprobs = readLogprobs(choice["logprobs"]["content"]);
    piece.tokens = piece.logprobs.length || piece.tokens;
  }
}

/** The log-probabilities in thousandths; none where they are not as the API says. */
function readLogprobs(tokens: unknown): Int32Array {
  const numbers = Array.isArray(tokens) ? tokens.map((token) => (isObject(token) ? token["logprob"] : undefined)) : [];
  if (!numbers.every((number) => typeof number === "number")) return new Int32Array();
  return Int32Array.from(numbers, (number) => Math.min(0, roundHalfEven(Math.max(number, LEAST_LOGPROB) * 1000)));
}

/** Whether a field holds anything: empty texts, lists and objects do not. */
export function isSaid(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** An upstream's finish reason as the core knows it; words of its own for a good end are "stop". */
export function finishOf(reason: string): Finish {
  return FINISHES[reason] ?? "stop";
}

/** What an upstream counted, as an event says it; 0 where it did not. */
function readUsage(usage: unknown): Pick<Event, "inputTokens" | "outputTokens"> {
  const count = (name: string): number => {
    const value = isObject(usage) ? usage[name] : 0;
    return typeof value === "number" && Number.isInteger(value) && value > 0 ? Math.min(value, MAX_U32) : 0;
  };
  return { inputTokens: count("prompt_tokens"), outputTokens: count("completion_tokens") };
}

/** A usage object; details that the upstream counted beside stay. */
export function usageJson(inputTokens: number, outputTokens: number, counted: unknown): Json {
  return {
    ...(isObject(counted) ? counted : {}),
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

/** What an upstream is sent: the client's body with the upstream's name of the model. */
function upstreamBody({ body, streams }: Ask, endpoint: Endpoint, shown: Shown | undefined): string {
  const data: Json = { ...body, model: endpoint.model };
  if (streams) data["stream_options"] = { ...(body["stream_options"] as Json | undefined), include_usage: true };
  if (endpoint.logprobs) data["logprobs"] = true;
  if (shown !== undefined && shown.text !== "") {
    const turns: Json[] = [{ role: "assistant", content: shown.text }];
    if (endpoint.resume === "ask") turns.push({ role: "user", content: RESUME_INSTRUCTION });
    data["messages"] = [...(body["messages"] as Json[]), ...turns];
    for (const limit of LIMITS) {
      const most = body[limit];
      if (typeof most === "number") data[limit] = Math.max(1, most - shown.tokens);
    }
  }
  return JSON.stringify(data);
}

/** Whether the client asked for log-probabilities itself. */
export function wantsLogprobs({ body }: Ask): boolean {
  return Boolean(body["logprobs"]);
}
