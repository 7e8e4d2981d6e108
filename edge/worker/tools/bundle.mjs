// Bundles scripts for a browser or Node: node tools/bundle.mjs FOLDER ENTRY.ts...
import { build } from "esbuild";

const [folder, ...entries] = process.argv.slice(2);
await build({
  entryPoints: entries,
  outdir: folder,
  entryNames: "[name]",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  logLevel: "error",
});
