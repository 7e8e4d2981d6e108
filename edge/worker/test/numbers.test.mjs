import assert from "node:assert/strict";
import { test } from "node:test";
import { compiled } from "./support.mjs";

const { roundHalfEven, toFixedHalfEven } = await compiled("numbers");

test("halves round to even integers", () => {
  assert.deepEqual([0.5, 1.5, 2.5, 2.4, 2.6, 3, 0].map(roundHalfEven), [0, 2, 2, 2, 3, 3, 0]);
});

// What Python prints for f"{value:.{digits}f}".
const FIXED = [
  [0.125, 2, "0.12"],
  [0.375, 2, "0.38"],
  [0.625, 2, "0.62"],
  [0.145, 2, "0.14"],
  [0.155, 2, "0.15"],
  [0.9998, 2, "1.00"],
  [0.0009765625, 9, "0.000976562"],
  [0.0029296875, 9, "0.002929688"],
  [-0.125, 2, "-0.12"],
  [0, 6, "0.000000"],
];

for (const [value, digits, text] of FIXED) {
  test(`${value} with ${digits} decimals is ${text}`, () => assert.equal(toFixedHalfEven(value, digits), text));
}
