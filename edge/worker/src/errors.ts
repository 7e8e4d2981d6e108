/** Errors as clients see them: a status, and JSON `{"error": {"message", "type", "param", "code"}}`. */

interface More {
  readonly param?: string | null;
  /** Further fields of the error, such as `code`. */
  readonly details?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What ends a request early. `param` names the field, or is null where the whole request is wrong. */
export class HttpError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly details: object;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, type: string, message: string, { param = null, details = {}, headers = {} }: More = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
    this.details = details;
    this.headers = headers;
  }

  toJson(): { error: Record<string, unknown> } {
    const { message, type, param, details } = this;
    return { error: { message, type, param, code: null, ...details } };
  }

  /** The answer that says it, with headers beside the error's own. */
  toResponse(headers: Readonly<Record<string, string>> = {}): Response {
    return Response.json(this.toJson(), { status: this.status, headers: { ...this.headers, ...headers } });
  }
}

/** A request that cannot be read; `param` names the field, or is null where the whole body is wrong. */
export class RequestError extends HttpError {
  /** What is wrong, without the field's name. */
  readonly wrong: string;

  constructor(message: string, param: string | null = null) {
    super(400, "invalid_request_error", param ? `${param}: ${message}` : message, { param });
    this.wrong = message;
  }
}

/** 404: the client names a model that the configuration does not have. */
export function unknownModel(name: unknown, known: readonly string[]): HttpError {
  const message = `there is no model ${JSON.stringify(name)}; there are ${known.join(", ")}`;
  return new HttpError(404, "invalid_request_error", message, {
    param: "model",
    details: { code: "model_not_found" },
  });
}

/** 401: no API key, or one that nobody has. */
export function unauthorized(): HttpError {
  const message = "the API key is missing or unknown; send it as `authorization: Bearer KEY`";
  return new HttpError(401, "authentication_error", message, {
    details: { code: "invalid_api_key" },
    headers: { "www-authenticate": "Bearer" },
  });
}

/** 429: the tenant's requests for now are used up. */
export function tooManyRequests(waitMs: number): HttpError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new HttpError(429, "rate_limit_error", `too many requests of this tenant; try again in ${seconds} s`, {
    details: { code: "rate_limit_exceeded" },
    headers: { "retry-after": String(seconds) },
  });
}

const UNANSWERED: Readonly<Record<string, readonly [status: number, type: string, message: string]>> = {
  unreachable: [502, "server_error", "no model could be reached"],
  cut: [502, "server_error", "every model's answer broke off"],
  server_error: [502, "server_error", "every model's server failed"],
  rate_limited: [429, "rate_limit_error", "every model limits its rate for now"],
  refused: [502, "server_error", "every model refused the request"],
  late: [504, "timeout_error", "no model began its answer in time"],
  stalled: [504, "timeout_error", "every model stopped in the middle of its answer"],
  time_up: [504, "timeout_error", "no answer was complete in the time that a request may take"],
  malformed: [502, "server_error", "every model's answer was malformed"],
  too_large: [502, "server_error", "every model's answer was too large"],
  wrong_type: [502, "server_error", "every model's answer was of the wrong content type"],
  empty: [502, "server_error", "every model's answer was empty"],
  too_many_sessions: [503, "overloaded_error", "too many requests are under way; try again soon"],
};

/** What upstreams say where the configuration is wrong, not the client's request. */
export const OPERATORS_FAULT = [401, 403, 404, 405];
const NOT_SET_UP =
  "no model's endpoint takes the request: in the proxy's configuration a key, a URL, a name or an API is wrong";

/** A 4xx of an upstream, and its words. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/** No model answered: `reason` ended the last call. What a client can mend of a refusal is passed on to it. */
export function unanswered(reason: string, { status, message }: Refusal): HttpError {
  const details = { code: reason };
  const known = UNANSWERED[reason] ?? [502, "server_error", `no model answered: ${reason.replaceAll("_", " ")}`];
  if (reason === "refused" && OPERATORS_FAULT.includes(status)) {
    return new HttpError(502, "server_error", NOT_SET_UP, { details });
  }
  if (reason === "refused" && status >= 400 && status < 500) {
    return new HttpError(status, "invalid_request_error", message || known[2], { details });
  }
  return new HttpError(...known, { details });
}

/** 500: the Worker's fault; what it was stands in the log only. */
export function internal(): HttpError {
  return new HttpError(500, "server_error", "the router failed; the Worker's log says why");
}
