// What tests need of the TypeScript of the core: its modules, bundled on the fly.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), "../src/core");

/** A module of src/core that does without the engine's wasm. */
export async function coreModule(name) {
  const { outputFiles } = await build({ entryPoints: [join(SOURCES, name)], bundle: true, format: "esm", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}
