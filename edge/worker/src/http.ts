/** The HTTP interface: what a Request gets for an answer. Nothing here decides about models. */

import { KEYS_SECRET, type Rates, tenantOf } from "./admission.ts";
import { type Ask, isObject } from "./api.ts";
import { AUTO_MODELS, readAsk } from "./asking.ts";
import { readJsonBody } from "./body.ts";
import type { Conversations } from "./conversations.ts";
import type { Observation } from "./engine.ts";
import { HttpError, internal } from "./errors.ts";
import { Exchange, type Surroundings } from "./exchange.ts";
import type { PolicyState } from "./policy.ts";
import type { ProxyTable } from "./proxy.ts";
import { MESSAGES, RESPONSES, RelayReply, type RelayedApi, readRelayed } from "./relay.ts";
import { type Reply, StreamReply, WholeReply } from "./reply.ts";
import { type Decider, describe, describeDecision, requireModel, route } from "./route.ts";

/** The Worker, as one request finds it. */
export interface Host extends Decider {
  readonly proxy: ProxyTable;
  /** The Worker's secrets, by name. */
  readonly secrets: Readonly<Record<string, unknown>>;
  readonly rates: Rates;
  readonly conversations: Conversations;
  /** Which policy decides; absent where nothing may replace it. */
  policyState?(): Promise<PolicyState>;
  /** Takes what was observed of calls to those who share it. */
  share(observations: readonly Observation[]): void;
  /** Keeps the Worker alive until some work is done, the answer sent or not. */
  later(work: Promise<unknown>): void;
}

type Answer = (request: Request, host: Host) => Response | Promise<Response>;

interface Place {
  readonly methods: readonly string[];
  readonly answer: Answer;
}

const PLACES: Readonly<Record<string, Place>> = {
  "/v1/chat/completions": { methods: ["POST"], answer: chat },
  "/v1/responses": { methods: ["POST"], answer: relay(RESPONSES) },
  "/v1/messages": { methods: ["POST"], answer: relay(MESSAGES) },
  "/v1/route": { methods: ["POST"], answer: decide },
  "/v1/models": { methods: ["GET"], answer: models },
  "/healthz": { methods: ["GET", "HEAD"], answer: health },
};

/** Answers one request. Never throws: what goes wrong becomes a JSON error. */
export async function handle(request: Request, host: Host): Promise<Response> {
  try {
    const { pathname } = new URL(request.url);
    const place = Object.hasOwn(PLACES, pathname) ? PLACES[pathname] : undefined;
    if (place === undefined) throw notFound(pathname);
    if (!place.methods.includes(request.method)) throw wrongMethod(request.method, pathname, place.methods);
    return await place.answer(request, host);
  } catch (error) {
    if (error instanceof HttpError) return error.toResponse();
    console.error(error);
    return internal().toResponse();
  }
}

type ReadAsk = (data: unknown, headers: Headers, proxy: ProxyTable, tenant: string | undefined) => Ask;
type MakeReply = (ask: Ask, leave: () => void) => Reply;

function chat(request: Request, host: Host): Promise<Response> {
  const overlap = host.engine.overlap.bind(host.engine);
  return exchange(request, host, readAsk, (ask, leave) =>
    ask.streams ? new StreamReply(ask, overlap, leave) : new WholeReply(ask),
  );
}

function relay(api: RelayedApi): Answer {
  const read: ReadAsk = (...given) => readRelayed(api, ...given);
  return (request, host) => exchange(request, host, read, (ask, leave) => new RelayReply(ask, leave));
}

/** An answer of the model that the router chooses, or of the one that the client names. */
async function exchange(request: Request, host: Host, readAs: ReadAsk, replyTo: MakeReply): Promise<Response> {
  const tenant = await tenantOf(request.headers, host.proxy, host.secrets[KEYS_SECRET]);
  const read = readAs(await readJsonBody(request), request.headers, host.proxy, tenant);
  host.rates.take(read.request.tenant, host.proxy);
  const ask = { ...read, request: host.conversations.recall(read.request) };
  const { decision, session } = host.engine.open(ask.request);
  requireModel(decision, host.phrases);
  const leave = (): void => underWay.leave();
  const reply = replyTo(ask, leave);
  const underWay = new Exchange(ask, decision, session, reply, surroundingsOf(ask, host));
  request.signal.addEventListener("abort", leave);
  host.later(underWay.run());
  return reply.response;
}

function surroundingsOf(ask: Ask, host: Host): Surroundings {
  const { proxy, secrets } = host;
  return {
    proxy,
    secrets,
    share: (observations) => host.share(observations),
    describe: (decision, id) => describeDecision(decision, id, host),
    remember: (model, tokens) => host.conversations.remember(ask.request, model, tokens),
  };
}

/** The decision on the request in the body. */
async function decide(request: Request, host: Host): Promise<Response> {
  const tenant = await tenantOf(request.headers, host.proxy, host.secrets[KEYS_SECRET]);
  const data = await readJsonBody(request);
  return route(tenant !== undefined && isObject(data) ? { ...data, tenant } : data, host);
}

/** The models of the configuration, and the names that leave the choice to the router. */
async function models(request: Request, host: Host): Promise<Response> {
  await tenantOf(request.headers, host.proxy, host.secrets[KEYS_SECRET]);
  const owners = [
    ...AUTO_MODELS.map((name) => [name, "edgewise"]),
    ...Object.entries(host.proxy.models).map(([name, { provider }]) => [name, provider]),
  ];
  const data = owners.map(([id, owner]) => ({ id, object: "model", created: 0, owned_by: owner }));
  return Response.json({ object: "list", data });
}

/** The router decides as long as this is answered; a policy that was refused shows in `policy.error`. */
async function health(_: Request, host: Host): Promise<Response> {
  const policy = await host.policyState?.();
  return Response.json({ status: "ok", edgewise: describe(host), ...(policy && { policy }) });
}

function notFound(path: string): HttpError {
  const paths = Object.entries(PLACES).map(([name, { methods }]) => `${methods[0]} ${name}`);
  const message = `there is no ${path}; ask ${paths.slice(0, -1).join(", ")} or ${paths.at(-1)}`;
  return new HttpError(404, "not_found_error", message);
}

function wrongMethod(method: string, path: string, allowed: readonly string[]): HttpError {
  return new HttpError(405, "method_not_allowed_error", `${path} takes ${allowed.join(" or ")}, not ${method}`, {
    headers: { allow: allowed.join(", ") },
  });
}
