// Writes the TypeScript types of the WIT contract, so that type checking needs no built component.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transpileBytes } from "@bytecodealliance/jco-transpile";
import { componentEmbed, componentNew } from "@bytecodealliance/jco-transpile/wasm-tools";

const worker = join(dirname(fileURLToPath(import.meta.url)), "..");
const witSource = await readFile(join(worker, "..", "wit", "router.wit"), "utf8");
const placeholder = await componentNew(await componentEmbed({ dummy: true, witSource, world: "router" }), []);
const { files } = await transpileBytes(placeholder, { name: "router", instantiation: "sync", wasiShim: false });
for (const [name, content] of Object.entries(files)) {
  if (!name.endsWith(".d.ts")) continue;
  const target = join(worker, "generated", name);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, content);
}
