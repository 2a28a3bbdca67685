// Makes the npm package from the TypeScript in src/ and the wasm modules that `cargo xtask wasm` has put into generated/.
// node build.mjs --out FOLDER --version VERSION

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { ENTRIES, writePackage } from "./package.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const GENERATED = join(HERE, "generated");
/** The oldest browsers with what the wasm modules need (reference types, bulk memory). */
const TARGETS = ["chrome96", "firefox93", "safari15"];
/** Pages bring their own. */
const PLAYERS = ["hls.js", "shaka-player"];
/** The entry that is no module. */
const WORKER = "service-worker-worker";

const { values: options } = parseArgs({ options: { out: { type: "string" }, version: { type: "string" } } });
if (!options.out || !options.version) throw new Error("--out and --version are needed");
const { out, version } = options;

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
writeTypes();
await bundle();
for (const name of wasmModules()) cpSync(join(GENERATED, name), join(out, name));
writePackage({ out, version, project: join(HERE, "../..") });

/** Checks all sources and writes their declarations to types/. */
function writeTypes() {
  const types = join(out, "types");
  const compiler = join(HERE, "node_modules/typescript/bin/tsc");
  for (const project of readdirSync(HERE).filter((name) => /^tsconfig.*\.json$/.test(name))) {
    const { status } = spawnSync(process.execPath, [compiler, "-p", join(HERE, project), "--outDir", types], { stdio: "inherit" });
    if (status !== 0) throw new Error(`the types of ${project} do not hold`);
  }
  // The glue is beside src/ here, and below types/ in the package.
  const ours = readdirSync(types, { recursive: true }).filter((name) => name.endsWith(".d.ts"));
  for (const name of ours) {
    const file = join(types, name);
    const glue = relative(dirname(file), join(types, "generated"));
    const text = readFileSync(file, "utf8");
    const moved = text.replaceAll(/(["'])(?:\.\.\/)+generated\//g, (_, quote) => `${quote}${glue.startsWith(".") ? glue : `./${glue}`}/`);
    if (moved !== text) writeFileSync(file, moved);
  }
  mkdirSync(join(types, "generated"));
  for (const name of readdirSync(GENERATED).filter((name) => name.endsWith(".d.ts") && !name.endsWith(".wasm.d.ts"))) {
    // Few programs have the types of explicit resource management.
    const text = readFileSync(join(GENERATED, name), "utf8").replaceAll(/^ *\[Symbol\.dispose\]\(\): void;\n/gm, "");
    writeFileSync(join(types, "generated", name), text);
  }
}

async function bundle() {
  const { [WORKER]: worker, ...modules } = ENTRIES;
  const sources = (entries) => Object.fromEntries(Object.entries(entries).map(([name, { source }]) => [name, source]));
  const options = {
    absWorkingDir: HERE,
    outdir: out,
    bundle: true,
    target: TARGETS,
    minify: true,
    sourcemap: true,
    // In one folder with the wasm modules, which are found beside the module that loads them.
    entryNames: "[name]",
    chunkNames: "chunk-[hash]",
    external: PLAYERS,
    legalComments: "none",
    logLevel: "warning",
  };
  await build({ ...options, entryPoints: sources(modules), splitting: true, format: "esm" });
  // A script of its own: workers of sites load it by importScripts, beside names of theirs.
  await build({ ...options, entryPoints: sources({ [WORKER]: worker }), format: "iife" });
}

function wasmModules() {
  return readdirSync(GENERATED).filter((name) => name.endsWith(".wasm"));
}
