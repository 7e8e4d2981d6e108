// Times an ONNX model in onnxruntime-web: a task in JSON on standard input, times and the first output on standard output.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web/wasm";

const WARM_UP = 5;
const TYPES = { int32: Int32Array, uint8: Uint8Array, int64: BigInt64Array, float32: Float32Array };

const { model, inputs, n, seconds, starts } = JSON.parse(readFileSync(0, "utf8"));
ort.env.wasm.numThreads = 1;
const bytes = readFileSync(model);
const feeds = Object.fromEntries(
  Object.entries(inputs).map(([name, { type, dims, data }]) => {
    const raw = Uint8Array.from(Buffer.from(data, "base64"));
    return [name, new ort.Tensor(type, new TYPES[type](raw.buffer), dims)];
  }),
);

const startsMs = [];
let session;
for (let count = 0; count < starts; count++) {
  const started = performance.now();
  session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  startsMs.push(performance.now() - started);
}

let output;
const timesUs = [];
const began = performance.now();
for (let count = -WARM_UP; count < n; count++) {
  if (count > WARM_UP && performance.now() - began > seconds * 1000) break;
  const started = performance.now();
  const results = await session.run(feeds);
  if (count >= 0) timesUs.push((performance.now() - started) * 1000);
  output = results[session.outputNames[0]];
}
console.log(JSON.stringify({ starts_ms: startsMs, times_us: timesUs, output: Array.from(output.data, Number) }));
