// Wraps a core module as a component: node tools/wrap.mjs CORE.wasm WORLD.wit COMPONENT.wasm
import { readFile, writeFile } from "node:fs/promises";
import { componentEmbed, componentNew } from "@bytecodealliance/jco-transpile/wasm-tools";

const [core, wit, component] = process.argv.slice(2);
const embedded = await componentEmbed({
  binary: new Uint8Array(await readFile(core)),
  witSource: await readFile(wit, "utf8"),
  world: "router",
});
await writeFile(component, await componentNew(embedded, []));
