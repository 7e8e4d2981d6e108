import assert from "node:assert/strict";
import { test } from "node:test";
import { compiled } from "./support.mjs";

const { findJsonError, parseJson } = await compiled("json");

const WRONG = [
  ["", 1, 1, "the text ends too early"],
  ["  ", 1, 3, "the text ends too early"],
  ["{", 1, 2, "the text ends too early"],
  ['{"a": 1', 1, 8, "the text ends too early"],
  ['{"a": "x', 1, 9, "the text ends too early"],
  ["[1,]", 1, 4, 'unexpected "]"'],
  ['{"a": 1,}', 1, 9, 'unexpected "}"'],
  ["[1 2]", 1, 4, 'unexpected "2"'],
  ["[1}", 1, 3, 'unexpected "}"'],
  ["{a: 1}", 1, 2, 'unexpected "a"'],
  ["{'a': 1}", 1, 2, 'unexpected "\'"'],
  ['{"a" 1}', 1, 6, 'unexpected "1"'],
  ['{"a":\n  tru}', 2, 3, 'unexpected "t"'],
  ['{"a":\n\n "x\ty"}', 3, 4, 'unexpected "\\t"'],
  ['["\\x"]', 1, 3, 'unexpected "\\\\"'],
  ["{} {}", 1, 4, 'unexpected "{"'],
  ["[01]", 1, 2, 'unexpected "0"'],
  ["NaN", 1, 1, 'unexpected "N"'],
  ["]", 1, 1, 'unexpected "]"'],
  ["[😀]", 1, 2, 'unexpected "😀"'],
];

for (const [text, line, column, what] of WRONG) {
  test(`${JSON.stringify(text)} is wrong at line ${line} column ${column}`, () => {
    assert.throws(() => parseJson(text), {
      status: 400,
      message: `not JSON: ${what} at line ${line} column ${column}`,
    });
  });
}

test("valid JSON is read to its end", () => {
  const text = ' {"a": [1, -2.5e3, true, null, {}, [], "\\u00e9\\n", "x"], "b": {"c": "d"}} ';
  assert.deepEqual(parseJson(text), JSON.parse(text));
  assert.equal(findJsonError(text), text.length);
});

test("wherever JSON is cut off, it is its end that is wrong", () => {
  const text = '{"a": [1, {"b": "x\\"y"}], "c": "d"}';
  const cuts = [...text].map((_, end) => text.slice(0, end));
  for (const cut of cuts) assert.equal(findJsonError(cut), cut.length, cut);
});

test("deep and long texts are no trouble", () => {
  assert.equal(findJsonError("[".repeat(1_000_000)), 1_000_000);
  assert.equal(findJsonError(`"${"x".repeat(5_000_000)}`), 5_000_001);
});
