/** Requests: JSON, checked by the same rules and with the same messages as in the Python host. */

import type { Message, Needs, Request } from "./engine.ts";
import { RequestError } from "./errors.ts";
import { roundHalfEven } from "./numbers.ts";

const FIELDS = [
  "messages",
  "id",
  "max_tokens",
  "region",
  "budget_usd",
  "latency_slo_ms",
  "tier",
  "tenant",
  "needs",
  "objective",
  "session",
  "session_model",
  "cached_tokens",
  "model",
  "stream",
  "at_ms",
];
const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;
const NEEDS = ["tools", "json", "vision", "audio", "live_retrieval", "guarded", "private"] as const;
const TIERS = ["unset", "free", "pro", "enterprise"] as const;
export const OBJECTIVES = ["unset", "cost", "balanced", "quality", "latency"] as const;

const MAX_I32 = 2 ** 31 - 1;
const MAX_BUDGET_USD = 1e6;
const PICODOLLARS_PER_DOLLAR = 1e12;

type Fields = Record<string, unknown>;

/** The request that parsed JSON stands for. Throws RequestError naming the first field that is wrong. */
export function readRequest(data: unknown): Request {
  if (!isObject(data)) throw new RequestError('write a request as a JSON object such as {"text": "..."}');
  const fields = expandShorthands(data);
  const request: Request = {
    messages: readMessages(fields["messages"]),
    id: readText(fields["id"], "id"),
    maxOutputTokens: readInteger(fields["max_tokens"], "max_tokens", MAX_I32),
    region: readText(fields["region"], "region"),
    budget: readBudget(fields["budget_usd"]),
    latencySloMs: readInteger(fields["latency_slo_ms"], "latency_slo_ms", MAX_I32),
    tier: readChoice(fields["tier"] ?? "unset", "tier", TIERS),
    tenant: readText(fields["tenant"], "tenant"),
    needs: readNeeds(fields["needs"]),
    objective: readChoice(fields["objective"] ?? "unset", "objective", OBJECTIVES),
    session: readText(fields["session"], "session"),
    sessionModel: readText(fields["session_model"], "session_model"),
    cachedTokens: readInteger(fields["cached_tokens"], "cached_tokens", MAX_I32),
    model: readText(fields["model"], "model"),
    stream: readFlag(fields["stream"], "stream"),
    atMs: BigInt(readInteger(fields["at_ms"], "at_ms", 2 ** 53)),
  };
  for (const name of Object.keys(fields)) {
    if (!FIELDS.includes(name)) {
      throw new RequestError(`unknown; the fields of a request are ${FIELDS.join(", ")}`, name);
    }
  }
  return request;
}

/** `text` becomes a message, content in parts becomes text and needs, and null is the same as nothing. */
function expandShorthands(data: Fields): Fields {
  const fields = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== null));
  if (fields["text"] !== undefined) {
    if (fields["messages"] !== undefined) throw new RequestError("give either text or messages, not both");
    fields["messages"] = [{ role: "user", content: fields["text"] }];
    delete fields["text"];
  }
  if (Array.isArray(fields["messages"])) {
    const needs = new Set<string>();
    fields["messages"] = splitMessages(fields["messages"], needs);
    const stated = fields["needs"] ?? [];
    if (needs.size > 0 && Array.isArray(stated)) fields["needs"] = [...stated, ...needs];
  }
  return fields;
}

function splitMessages(messages: unknown[], needs: Set<string>): unknown[] {
  try {
    return messages.flatMap((message) => splitParts(message, needs));
  } catch (error) {
    if (error instanceof RangeError) throw new RequestError("nested too deeply", "messages");
    throw error;
  }
}

/** A message whose content comes in parts, as messages of plain text: tool results become turns of the tool. */
function splitParts(message: unknown, needs: Set<string>): unknown[] {
  if (!isObject(message)) return [message];
  const content = message["content"] ?? "";
  const role = message["role"] === "function" ? "tool" : message["role"];
  if (!Array.isArray(content)) return [{ role, content }];
  const texts: string[] = [];
  const turns: unknown[] = [];
  for (const part of content) {
    const kind = isObject(part) && typeof part["type"] === "string" ? part["type"] : "";
    if (kind === "tool_result") turns.push({ role: "tool", content: textOf(part["content"]) });
    else if (kind.includes("image")) needs.add("vision");
    else if (kind.includes("audio")) needs.add("audio");
    else texts.push(textOf(part));
  }
  return [...turns, { role, content: texts.join("\n") }];
}

function textOf(part: unknown): string {
  if (Array.isArray(part)) return part.map(textOf).join("\n");
  const text = isObject(part) ? part["text"] : part;
  return typeof text === "string" ? text : "";
}

function readMessages(value: unknown): Message[] {
  if (value === undefined) {
    throw new RequestError(
      'missing; a request is {"messages": [{"role": "user", "content": "..."}]} or {"text": "..."}',
      "messages",
    );
  }
  if (!Array.isArray(value)) throw new RequestError("Input should be a valid tuple", "messages");
  if (value.length === 0) throw new RequestError("empty; give at least one message", "messages");
  return value.map((message: unknown, index) => {
    const place = `messages[${index}]`;
    if (!isObject(message)) throw new RequestError("Input should be a valid dictionary or instance of Message", place);
    const role = readChoice(message["role"], `${place}.role`, ROLES);
    return { role, content: readText(message["content"], `${place}.content`) };
  });
}

function readText(value: unknown, place: string): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw new RequestError("Input should be a valid string", place);
  const surrogate = value.isWellFormed() ? -1 : value.search(/\p{Surrogate}/u);
  if (surrogate >= 0) {
    const character = countCharacters(value, surrogate);
    throw new RequestError(`character ${character} is a lone surrogate, which is not text; remove it`, place);
  }
  const nul = value.indexOf("\0");
  if (nul >= 0) throw new RequestError(`character ${countCharacters(value, nul)} is NUL; remove it`, place);
  return value;
}

function countCharacters(text: string, end: number): number {
  let count = 0;
  for (let index = 0; index < end; index += text.codePointAt(index)! > 0xffff ? 2 : 1) count++;
  return count;
}

function readFlag(value: unknown, place: string): boolean {
  if (value !== undefined && typeof value !== "boolean") {
    throw new RequestError("Input should be a valid boolean", place);
  }
  return value ?? false;
}

function readInteger(value: unknown, place: string, maximum: number): number {
  if (value === undefined) return 0;
  if (typeof value !== "number") throw notANumber(value, "integer", place);
  if (!Number.isInteger(value)) {
    throw new RequestError("Input should be a valid integer, got a number with a fractional part", place);
  }
  return checkRange(value, place, maximum);
}

function readBudget(value: unknown): bigint {
  if (value === undefined) return 0n;
  if (typeof value !== "number") throw notANumber(value, "number", "budget_usd");
  if (!Number.isFinite(value)) throw new RequestError("Input should be a finite number", "budget_usd");
  const budget = roundHalfEven(checkRange(value, "budget_usd", MAX_BUDGET_USD) * PICODOLLARS_PER_DOLLAR);
  return BigInt(Math.max(1, budget)); // 0 picodollars would mean that no budget was given
}

/** Text and truth values that only read like a number are refused like everything else. */
function notANumber(value: unknown, kind: string, place: string): RequestError {
  const isClose = typeof value === "string" || typeof value === "boolean";
  return new RequestError(isClose ? "Input should be a number" : `Input should be a valid ${kind}`, place);
}

function checkRange(value: number, place: string, maximum: number): number {
  if (value < 0) throw new RequestError("Input should be greater than or equal to 0", place);
  if (value > maximum) throw new RequestError(`Input should be less than or equal to ${maximum}`, place);
  return value;
}

function readNeeds(value: unknown): Needs {
  if (value === undefined) return {};
  if (!Array.isArray(value)) throw new RequestError("Input should be a valid frozenset", "needs");
  const stated = new Set(value.map((need, index) => readChoice(need, `needs[${index}]`, NEEDS)));
  return {
    tools: stated.has("tools"),
    json: stated.has("json"),
    vision: stated.has("vision"),
    audio: stated.has("audio"),
    liveRetrieval: stated.has("live_retrieval"),
    guarded: stated.has("guarded"),
    private: stated.has("private"),
  };
}

function readChoice<Choice extends string>(value: unknown, place: string, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  if (typeof value === "string" && !value.isWellFormed()) {
    throw new RequestError("Input should be a valid string, unable to parse raw data as a unicode string", place);
  }
  const quoted = choices.map((choice) => `'${choice}'`);
  throw new RequestError(`Input should be ${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`, place);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
