/** What the build writes into `generated/`, as the bundler imports it. */

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

declare module "*.bin" {
  const bytes: ArrayBuffer;
  export default bytes;
}

declare module "*.txt" {
  const text: string;
  export default text;
}

declare module "*/generated/phrases.json" {
  const phrases: import("./decision.ts").Phrases;
  export default phrases;
}

declare module "*/generated/about.json" {
  const about: import("./route.ts").About;
  export default about;
}
