/** Rounding as Python does it: halves go to the even neighbour. */

export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The number with a fixed count of decimals. Of two equally near ones, `toFixed` takes the larger; this, the even one. */
export function toFixedHalfEven(value: number, digits: number): string {
  const text = value.toFixed(digits);
  const last = Number(text.at(-1));
  const doubled = value * 2 ** (digits + 1);
  const isHalf = Number.isInteger(doubled) && doubled % 2 !== 0;
  return isHalf && last % 2 === 1 ? text.slice(0, -1) + (last - 1) : text;
}
