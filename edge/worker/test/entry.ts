/** The Worker with the doors of the tests. */

import about from "../generated/about.json";
import phrases from "../generated/phrases.json";
import policy from "../generated/policy.bin";
import core from "../generated/router.core.wasm";
import { instantiate } from "../generated/router.js";
import { Doors } from "./doors.ts";

const doors = new Doors({ instantiate, core, policy: new Uint8Array(policy), phrases, about }, "workerd");

export default {
  fetch: (request: Request): Promise<Response> => doors.answer(request),
};
