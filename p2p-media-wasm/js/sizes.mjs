// How many bytes a page loads for each entry of the package, and whether that is still what the project promises.

import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { ENTRIES } from "./package.mjs";

/** What the hls.js entry may take in all, gzipped: its modules and the engine. */
const HLSJS_LIMIT_BYTES = 160_000;

/** Prints the sizes; false when the promise is broken. */
export function reportSizes(out, metafile) {
  const sizes = new Map();
  for (const name of readdirSync(out).filter((name) => /\.(js|wasm)$/.test(name))) {
    const bytes = readFileSync(join(out, name));
    sizes.set(name, { raw: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length });
  }
  const table = [...sizes];
  const sums = new Map();
  for (const entry of Object.keys(ENTRIES)) {
    const sum = { raw: 0, gzipped: 0 };
    const files = filesOf(`${entry}.js`, out, metafile);
    for (const name of files) {
      sum.raw += sizes.get(name).raw;
      sum.gzipped += sizes.get(name).gzipped;
    }
    sums.set(entry, sum.gzipped);
    table.push([`all of ${entry} (${files.size} files)`, sum]);
  }
  console.log(`${"".padEnd(36)} ${"bytes".padStart(9)} ${"gzipped".padStart(9)}`);
  for (const [name, { raw, gzipped }] of table) {
    console.log(`${name.padEnd(36)} ${String(raw).padStart(9)} ${String(gzipped).padStart(9)}`);
  }
  const hlsjs = sums.get("hlsjs");
  if (hlsjs > HLSJS_LIMIT_BYTES) console.error(`the hls.js entry takes ${hlsjs} bytes gzipped, more than ${HLSJS_LIMIT_BYTES}`);
  return hlsjs <= HLSJS_LIMIT_BYTES;
}

/** The modules that importing this one brings, and the wasm modules that those load. */
function filesOf(entry, out, metafile) {
  const outputs = new Map(Object.entries(metafile.outputs).map(([path, output]) => [basename(path), output]));
  const files = new Set();
  const add = (name) => {
    if (files.has(name)) return;
    files.add(name);
    for (const { path, external } of outputs.get(name).imports) if (!external) add(basename(path));
    const text = readFileSync(join(out, name), "utf8");
    for (const wasm of ["engine.wasm", "manifests.wasm"]) if (text.includes(wasm)) files.add(wasm);
  };
  add(entry);
  return files;
}
