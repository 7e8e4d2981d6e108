/** JSON whose errors say where they are. */

import { RequestError } from "./errors.ts";

const SPACE = /[ \t\n\r]*/y;
const SYMBOL = /[[\]{}:,]/y;
const LITERAL = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[\da-fA-F]{4})/y;
const CUT_ESCAPE = /\\(?:u[\da-fA-F]{0,3})?$/y;

/** The value that a JSON text stands for. Throws RequestError with line and column. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const position = findJsonError(text);
    const before = text.slice(0, position);
    const line = before.split("\n").length;
    const column = position - before.lastIndexOf("\n");
    const character = text.codePointAt(position);
    const what = character === undefined ? "the text ends too early" : `unexpected ${quote(character)}`;
    throw new RequestError(`not JSON: ${what} at line ${line} column ${column}`);
  }
}

/** Where a text stops being JSON: the index of the first wrong character, or its length where it ends too early. */
export function findJsonError(text: string): number {
  const closers: string[] = [];
  let expected = "value";
  let position = 0;
  for (;;) {
    position += match(SPACE, text, position).length;
    if (position === text.length) return position;
    const token = text[position] === '"' ? "string" : match(SYMBOL, text, position) || "literal";
    const next = follow(token, expected, closers);
    if (next === undefined) return position;
    expected = next;
    if (token === "string") {
      const { end, closed } = scanString(text, position);
      if (!closed) return end;
      position = end;
    } else {
      const length = match(token === "literal" ? LITERAL : SYMBOL, text, position).length;
      if (length === 0) return position;
      position += length;
    }
  }
}

/** What may follow a token, or undefined where the token itself may not stand. */
function follow(token: string, expected: string, closers: string[]): string | undefined {
  if (expected !== "value" && expected !== "key" && expected !== "colon" && token === closers.at(-1)) {
    closers.pop();
    return closers.length > 0 ? "comma" : "end";
  }
  switch (expected) {
    case "comma":
      return token !== "," ? undefined : closers.at(-1) === "}" ? "key" : "value";
    case "colon":
      return token === ":" ? "value" : undefined;
    case "key":
    case "first key":
      return token === "string" ? "colon" : undefined;
    case "value":
    case "first value":
      if (token === "string" || token === "literal") return closers.length > 0 ? "comma" : "end";
      if (token !== "[" && token !== "{") return undefined;
      closers.push(token === "[" ? "]" : "}");
      return token === "[" ? "first value" : "first key";
    default:
      return undefined;
  }
}

/** The end of the string that starts here, or, where it is not closed, its first wrong character. */
function scanString(text: string, start: number): { end: number; closed: boolean } {
  let end = start + 1;
  while (end < text.length && text[end]! >= " ") {
    if (text[end] === '"') return { end: end + 1, closed: true };
    const length = text[end] === "\\" ? match(ESCAPE, text, end).length : 1;
    if (length === 0) return { end: end + match(CUT_ESCAPE, text, end).length, closed: false };
    end += length;
  }
  return { end, closed: false };
}

function match(pattern: RegExp, text: string, position: number): string {
  pattern.lastIndex = position;
  return pattern.exec(text)?.[0] ?? "";
}

function quote(character: number): string {
  return JSON.stringify(String.fromCodePoint(character));
}
