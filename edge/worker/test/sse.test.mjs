import assert from "node:assert/strict";
import { test } from "node:test";
import { compiled } from "./support.mjs";

const { EventReader, EventTooLargeError } = await compiled("sse");

const bytes = (text) => new TextEncoder().encode(text);

/** The events of a stream that comes in pieces of `size` bytes. */
function read(stream, size, limit = 1000) {
  const reader = new EventReader(limit);
  const events = [];
  for (let start = 0; start < stream.length; start += size)
    events.push(...reader.feed(stream.subarray(start, start + size)));
  return events;
}

const STREAM = [
  ": a comment\n\n",
  "data: one\n\n",
  "event: named\r\nid: 7\r\ndata:two\r\ndata:  lines — 🦭\r\n\r\n",
  "data: three\r\r",
  "retry: 5\n\n",
  "data\n\n",
  "data: [DONE]\n\n",
].join("");
const EVENTS = ["one", "two\n lines — 🦭", "three", "", "[DONE]"];

for (const size of [1, 2, 3, 5, 7, 64, 1000]) {
  test(`events come out whole when they arrive in pieces of ${size}`, () =>
    assert.deepEqual(read(bytes(STREAM), size), EVENTS));
}

test("an event without its empty line has not come yet", () => {
  assert.deepEqual(read(bytes("data: one\n\ndata: half\n"), 4), ["one"]);
});

test("an event over the limit is refused, however it is cut", () => {
  const large = bytes(`data: ${"x".repeat(50)}\n\n`);
  assert.deepEqual(read(large, 10, 56), ["x".repeat(50)]);
  for (const size of [1, 10, 1000]) {
    assert.throws(() => read(bytes(`data: ${"x".repeat(60)}\ndata: y`), size, 56), EventTooLargeError);
  }
});

test("bytes that are no text are refused", () => {
  assert.throws(() => read(new Uint8Array([100, 255, 10]), 1), TypeError);
});
