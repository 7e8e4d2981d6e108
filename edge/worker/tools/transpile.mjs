// Turns the component into what a Worker can import: node tools/transpile.mjs COMPONENT.wasm FOLDER
//
// Writes router.js (the glue, minified), router.core.wasm (imported as a WebAssembly.Module), and their types.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { transpileBytes } from "@bytecodealliance/jco-transpile";

const [component, folder] = process.argv.slice(2);
const { files, imports } = await transpileBytes(new Uint8Array(await readFile(component)), {
  name: "router",
  instantiation: "sync",
  minify: true,
  wasiShim: false,
  nodejsCompat: false,
  tlaCompat: false,
  base64Cutoff: 0,
});
if (imports.length > 0) {
  throw new Error(`the component must not import anything, and imports ${imports.join(", ")}`);
}
for (const [name, content] of Object.entries(files)) {
  const target = join(folder, name);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, content);
}
