/** Errors as clients see them: a JSON body, and the HTTP status that goes with it. */

export class HttpError extends Error {
  readonly status: number;
  readonly type: string;
  readonly param: string | null;

  constructor(status: number, type: string, message: string, param: string | null = null) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
  }
}

/** A request that cannot be read; `param` names the field, or is null where the whole body is wrong. */
export class RequestError extends HttpError {
  constructor(message: string, param: string | null = null) {
    super(400, "invalid_request_error", param ? `${param}: ${message}` : message, param);
  }
}

export function errorResponse(error: HttpError, details: object = {}, headers: HeadersInit = {}): Response {
  const { message, type, param, status } = error;
  return Response.json({ error: { message, type, param, ...details } }, { status, headers });
}
