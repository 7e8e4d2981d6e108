/** The doors of the tests in a browser's worker: takes requests from the page's server, and gives it the answers. */

import { loadParts } from "../playground/load.ts";
import { Doors } from "./doors.ts";

const doors = new Doors(await loadParts(new URL(".", import.meta.url)), "chromium");

for (;;) {
  const next = await fetch("/next");
  if (next.status !== 200) break;
  const path = next.headers.get("x-path") ?? "/";
  const method = next.headers.get("x-method") ?? "GET";
  const body = await next.arrayBuffer();
  const request = new Request(new URL(path, import.meta.url), { method, ...(body.byteLength > 0 && { body }) });
  const answer = await doors.answer(request);
  await fetch("/answer", {
    method: "POST",
    headers: { "x-status": String(answer.status) },
    body: await answer.arrayBuffer(),
  });
}
