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

/** The built router as Node reads it. */
export async function readParts() {
  const { instantiate } = await import(new URL("router.js", generated).href);
  const core = await WebAssembly.compile(await readFile(new URL("router.core.wasm", generated)));
  return {
    instantiate,
    core,
    policy: await readPolicy(),
    phrases: await readPhrases(),
    about: await json("about.json"),
  };
}

/** A host around a fresh engine; `startCore` may stand between the glue and the core module, `more` replaces parts. */
export async function createHost(startCore, more = {}) {
  const [{ Engine }, { Rates }, { Conversations }, { NO_PROXY }] = await Promise.all(
    ["engine", "admission", "conversations", "proxy"].map(compiled),
  );
  const { instantiate, core, policy, phrases, about } = await readParts();
  return {
    engine: new Engine(instantiate, core, policy, startCore),
    phrases,
    about,
    runtime: "node",
    proxy: NO_PROXY,
    secrets: {},
    rates: new Rates(),
    conversations: new Conversations(),
    share: () => undefined,
    later: () => undefined,
    ...more,
  };
}

/** The status and the JSON of the answer to one HTTP request. */
export async function ask(host, method, path, body, headers = {}) {
  const { handle } = await compiled("http");
  const text = typeof body === "object" && !(body instanceof Uint8Array) ? JSON.stringify(body) : body;
  const response = await handle(new Request(`http://localhost${path}`, { method, body: text, headers }), host);
  return { status: response.status, headers: response.headers, body: await response.json() };
}
