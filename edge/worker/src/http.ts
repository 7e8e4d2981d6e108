/** The HTTP interface: what a Request gets for an answer. Nothing here decides about models. */

import { type Phrases, decisionJson, droppedModels } from "./decision.ts";
import type { Decision, Engine, Instantiate } from "./engine.ts";
import { HttpError, RequestError, errorResponse } from "./errors.ts";
import { parseJson } from "./json.ts";
import type { LivePolicy } from "./policy.ts";
import { readRequest } from "./request.ts";

/** Bodies may be this large. A Worker has 128 MB, and a body stands in it as bytes, as text and in linear memory. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

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

export interface Host {
  readonly engine: Engine;
  readonly phrases: Phrases;
  readonly about: About;
  /** The name of what runs the core here. */
  readonly runtime: string;
  /** What may replace the policy; absent where nothing does. */
  readonly livePolicy?: LivePolicy;
}

/** Answers one request. Never throws: what goes wrong becomes a JSON error. */
export async function handle(request: Request, host: Host): Promise<Response> {
  try {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/v1/route":
        requireMethod(request, ["POST"]);
        return route(await readBody(request), host);
      case "/healthz":
        requireMethod(request, ["GET", "HEAD"]);
        return await health(host);
      default:
        throw new HttpError(404, "not_found_error", `there is no ${pathname}; ask POST /v1/route or GET /healthz`);
    }
  } catch (error) {
    return explain(error);
  }
}

/** The answer to the JSON text of one request. Throws HttpError. */
export function route(body: string, host: Host): Response {
  const request = readRequest(parseJson(body));
  const decision = host.engine.decide(request);
  if (decision.status === "no-feasible-model") return noFeasibleModel(decision, host.phrases);
  if (decision.status === "empty-request") throw new RequestError("empty; give at least one message", "messages");
  if (decision.status !== "ok") throw new Error(`the core gave no decision: ${decision.status}`);
  return Response.json({ id: request.id, ...decisionJson(decision, host.phrases), edgewise: describe(host) });
}

/** The router decides as long as this is answered; a policy that was refused shows in `policy.error`. */
async function health(host: Host): Promise<Response> {
  const policy = await host.livePolicy?.state();
  return Response.json({ status: "ok", edgewise: describe(host), ...(policy && { policy }) });
}

function describe(host: Host): object {
  return { ...host.about, engine: host.runtime };
}

function noFeasibleModel(decision: Decision, phrases: Phrases): Response {
  const dropped = droppedModels(decision, phrases);
  const more = decision.dropped - dropped.length;
  const lines = dropped.map(({ text }) => `  ${text}`);
  if (more > 0) lines.push(`  ... and ${more} more`);
  const message = `no model can serve this request:\n${lines.join("\n")}`;
  return errorResponse(new HttpError(422, "no_feasible_model", message), { dropped, dropped_count: decision.dropped });
}

function explain(error: unknown): Response {
  if (error instanceof MethodError) return errorResponse(error, {}, { allow: error.allowed.join(", ") });
  if (error instanceof HttpError) return errorResponse(error);
  console.error(error);
  return errorResponse(new HttpError(500, "server_error", "the router failed; the Worker's log says why"));
}

class MethodError extends HttpError {
  readonly allowed: readonly string[];

  constructor(method: string, path: string, allowed: readonly string[]) {
    super(405, "method_not_allowed_error", `${path} takes ${allowed.join(" or ")}, not ${method}`);
    this.allowed = allowed;
  }
}

function requireMethod(request: Request, allowed: readonly string[]): void {
  if (!allowed.includes(request.method)) {
    throw new MethodError(request.method, new URL(request.url).pathname, allowed);
  }
}

/**
 * The body as text, decoded while it arrives. Throws HttpError where it is too large or not UTF-8.
 *
 * A body that is too large is read to its end and thrown away, since many clients take no answer before they sent all.
 */
async function readBody(request: Request): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const pieces: string[] = [];
  let size = 0;
  for await (const bytes of request.body ?? []) {
    size += bytes.byteLength;
    if (size <= MAX_BODY_BYTES) pieces.push(decode(decoder, bytes, true));
  }
  if (size > MAX_BODY_BYTES) throw tooLarge();
  pieces.push(decode(decoder, undefined, false));
  return pieces.join("");
}

function decode(decoder: TextDecoder, bytes: Uint8Array | undefined, more: boolean): string {
  try {
    return decoder.decode(bytes, { stream: more });
  } catch {
    throw new RequestError("not JSON: the body is not UTF-8");
  }
}

function tooLarge(): HttpError {
  const limit = MAX_BODY_BYTES / 1024 / 1024;
  return new HttpError(413, "request_too_large_error", `the body is larger than the ${limit} MiB that are read`);
}
