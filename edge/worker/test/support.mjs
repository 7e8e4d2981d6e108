// The host with the real component, as the build left it in generated/.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const generated = new URL("../generated/", import.meta.url);

export const skip = existsSync(fileURLToPath(new URL("router.core.wasm", generated)))
  ? false
  : "the component has not been built: run `edgewise build --target worker`";

export const compiled = (name) => import(new URL(`compiled/${name}.js`, generated).href);

const json = async (name) => JSON.parse(await readFile(new URL(name, generated), "utf8"));

/** The phrases of the bundle, read once. */
export const readPhrases = () => json("phrases.json");

/** The policy of the bundle. */
export const readPolicy = async () => new Uint8Array(await readFile(new URL("policy.bin", generated)));

/** A host around a fresh engine; `startCore` may stand between the glue and the core module. */
export async function createHost(startCore) {
  const { Engine } = await compiled("engine");
  const { instantiate } = await import(new URL("router.js", generated).href);
  const core = await WebAssembly.compile(await readFile(new URL("router.core.wasm", generated)));
  const engine = new Engine(instantiate, core, await readPolicy(), startCore);
  return { engine, phrases: await readPhrases(), about: await json("about.json"), runtime: "node" };
}

/** The status and the JSON of the answer to one HTTP request. */
export async function ask(host, method, path, body) {
  const { handle } = await compiled("http");
  const text = typeof body === "object" && !(body instanceof Uint8Array) ? JSON.stringify(body) : body;
  const response = await handle(new Request(`http://localhost${path}`, { method, body: text }), host);
  return { status: response.status, headers: response.headers, body: await response.json() };
}
