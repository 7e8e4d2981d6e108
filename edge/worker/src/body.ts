/** Bodies: read up to a limit of bytes, and taken as JSON. */

import { HttpError, RequestError } from "./errors.ts";
import { parseJson } from "./json.ts";

/** Bodies may be this large. A Worker has 128 MB, and a body stands in it as bytes, as text and in linear memory. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** The value that a request's body stands for. Throws HttpError. */
export async function readJsonBody(request: Request): Promise<unknown> {
  return parseJson(await readBody(request));
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
