/** What a client asks for: its body and headers, as the request that is decided and the body that is passed on. */

import { type Ask, type Json, isObject } from "./api.ts";
import { CHAT } from "./chat.ts";
import type { Request as Asked } from "./engine.ts";
import { HttpError, RequestError, unknownModel } from "./errors.ts";
import type { ProxyTable } from "./proxy.ts";
import { OBJECTIVES, readRequest } from "./request.ts";

/** The one field of a body that is for the router, and never passed on. */
const FIELD = "edgewise";
const HEADER_PREFIX = "x-edgewise-";

const AUTO = "auto";
/** The names that leave the choice to the router. */
export const AUTO_MODELS = [AUTO, ...OBJECTIVES.filter((one) => one !== "unset").map((one) => `${AUTO}:${one}`)];

const ROUTER_FIELDS = [
  "budget_usd",
  "cached_tokens",
  "explain",
  "id",
  "latency_slo_ms",
  "needs",
  "objective",
  "region",
  "session",
  "session_model",
  "tenant",
  "tier",
];
const NUMBERS = ["budget_usd", "latency_slo_ms", "cached_tokens"];
const JSON_FORMATS = ["json_object", "json_schema"];
const MOST_CHOICES = 128;

/**
 * The ask in a body for chat completions. `tenant`: whose key it came with; undefined where no keys are asked for.
 *
 * Throws HttpError naming the field.
 */
export function readAsk(data: unknown, headers: Headers, proxy: ProxyTable, tenant: string | undefined): Ask {
  const { router, body, explain } = readFields(data, headers, proxy, tenant);
  const streams = readFlag(body, "stream");
  const choices = readChoices(body["n"]);
  const options = body["stream_options"] || {};
  if (!isObject(options)) throw new RequestError("not an object", "stream_options");
  const request = parseRequest({
    messages: body["messages"],
    max_tokens: body["max_completion_tokens"] || body["max_tokens"],
    stream: streams && choices === 1,
    ...router,
  });
  const wantsUsage = options["include_usage"] === true;
  return { api: CHAT, request, body, streams, choices, wantsUsage, explain, headers: {} };
}

/** What a body says to the router, whichever API it belongs to, and the body without it. */
interface Fields {
  readonly router: Json;
  readonly explain: boolean;
  readonly body: Json;
}

/** Takes a body apart. Throws HttpError naming the field. */
export function readFields(data: unknown, headers: Headers, proxy: ProxyTable, tenant: string | undefined): Fields {
  if (!isObject(data)) {
    throw new RequestError('write a request as a JSON object such as {"model": "auto", "messages": [...]}');
  }
  const { explain, ...stated } = readRouterFields(data, headers, proxy, tenant);
  const router = {
    id: crypto.randomUUID().replaceAll("-", ""),
    at_ms: Date.now(),
    ...stated,
    needs: [...new Set([...readNames(stated["needs"]), ...needsOf(data)])],
    ...readModel(data["model"], proxy),
  };
  const { [FIELD]: _, ...body } = data;
  return { router, explain: explain === true, body };
}

/** What the client tells the router, in the body's own field or in headers; the body counts where both do. */
function readRouterFields(data: Json, headers: Headers, proxy: ProxyTable, tenant: string | undefined): Json {
  const given = data[FIELD] === undefined ? {} : data[FIELD];
  if (!isObject(given)) throw new RequestError(`not an object; its fields are ${ROUTER_FIELDS.join(", ")}`, FIELD);
  for (const name of Object.keys(given)) {
    if (!ROUTER_FIELDS.includes(name)) {
      throw new RequestError(`unknown; the fields are ${ROUTER_FIELDS.join(", ")}`, `${FIELD}.${name}`);
    }
  }
  const fields: Json = { ...readHeaders(headers), ...given };
  if (tenant !== undefined) {
    if ((fields["tenant"] ?? tenant) !== tenant) {
      const message = "the API key belongs to another tenant";
      throw new HttpError(403, "permission_error", message, { param: `${FIELD}.tenant` });
    }
    fields["tenant"] = tenant;
  }
  const place = proxy.region_header === null ? null : headers.get(proxy.region_header);
  if (place !== null) fields["region"] ??= Object.hasOwn(proxy.regions, place) ? proxy.regions[place] : "";
  return fields;
}

function readHeaders(headers: Headers): Json {
  const fields: Json = {};
  for (const name of ROUTER_FIELDS) {
    const header = HEADER_PREFIX + name.replaceAll("_", "-");
    const value = headers.get(header);
    if (value === null) continue;
    if (name === "needs") fields[name] = value.split(",").map((need) => need.trim());
    else if (name === "explain") fields[name] = value === "true";
    else fields[name] = NUMBERS.includes(name) ? readNumber(value, header) : value;
  }
  return fields;
}

function readNumber(value: string, header: string): number {
  const number = Number(value);
  if (value.trim() === "" || Number.isNaN(number)) {
    throw new RequestError(`header ${header}: '${value.slice(0, 40)}' is not a number`);
  }
  return number;
}

/** What the name of a model asks for: a choice by an objective, or one model. */
function readModel(model: unknown, proxy: ProxyTable): Json {
  if (model === undefined || model === null || model === AUTO) return {};
  if (typeof model === "string" && AUTO_MODELS.includes(model)) return { objective: model.slice(AUTO.length + 1) };
  if (typeof model !== "string" || !Object.hasOwn(proxy.models, model)) {
    throw unknownModel(model, [...AUTO_MODELS, ...Object.keys(proxy.models)]);
  }
  return { model };
}

/** What a model must be able to do, apart from what the parts of the messages say. */
function needsOf(data: Json): string[] {
  const isUsed = (tools: unknown): boolean => Array.isArray(tools) && tools.length > 0;
  const needs = isUsed(data["tools"]) || isUsed(data["functions"]) ? ["tools"] : [];
  const form = data["response_format"];
  if (isObject(form) && JSON_FORMATS.includes(String(form["type"]))) needs.push("json");
  return needs;
}

function readNames(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string")) {
    throw new RequestError("not a list of names", `${FIELD}.needs`);
  }
  return value;
}

export function readFlag(data: Json, name: string): boolean {
  const value = data[name] ?? false;
  if (typeof value !== "boolean") throw new RequestError("neither true nor false", name);
  return value;
}

function readChoices(value: unknown): number {
  if (value === undefined || value === null) return 1;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MOST_CHOICES) {
    throw new RequestError(`not a whole number from 1 to ${MOST_CHOICES}`, "n");
  }
  return value;
}

/** The request that the fields stand for. Throws HttpError naming the field as the client knows it. */
export function parseRequest(fields: Json): Asked {
  try {
    return readRequest(fields);
  } catch (error) {
    const param = error instanceof RequestError ? error.param : null;
    if (param === null || !ROUTER_FIELDS.includes(param.split("[")[0]!)) throw error;
    throw new RequestError((error as RequestError).wrong, `${FIELD}.${param}`);
  }
}
