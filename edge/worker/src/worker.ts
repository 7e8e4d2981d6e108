/** The Worker: starts the router once per isolate, when the script is loaded. */

import about from "../generated/about.json";
import phrases from "../generated/phrases.json";
import policy from "../generated/policy.bin";
import core from "../generated/router.core.wasm";
import { instantiate } from "../generated/router.js";
import { Engine } from "./engine.ts";
import { type Host, handle } from "./http.ts";

const host: Host = {
  engine: new Engine(instantiate, core, new Uint8Array(policy)),
  phrases,
  about,
  runtime: "workerd",
};

export default {
  fetch: (request: Request): Promise<Response> => handle(request, host),
};
