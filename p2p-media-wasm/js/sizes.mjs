// How many bytes a page loads for each entry of the package, and whether that is still what the project promises.
// node sizes.mjs FOLDER

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { ENTRIES } from "./package.mjs";

/** What the hls.js entry may take in all, gzipped: its modules and the engine. */
const HLSJS_LIMIT_BYTES = 160_000;

const [folder] = process.argv.slice(2);
const files = new Map();
for (const name of readdirSync(folder).filter((name) => /\.(js|wasm)$/.test(name))) {
  const bytes = readFileSync(join(folder, name));
  const text = name.endsWith(".js") ? bytes.toString() : "";
  files.set(name, { raw: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length, text });
}

console.log(`${"".padEnd(38)} ${"bytes".padStart(9)} ${"gzipped".padStart(9)}`);
for (const [name, size] of files) print(name, size);
for (const entry of Object.keys(ENTRIES)) print(`all of ${entry} (${neededBy(entry).size} files)`, sumOf(entry));
const { gzipped } = sumOf("hlsjs");
if (gzipped > HLSJS_LIMIT_BYTES) {
  console.error(`the hls.js entry takes ${gzipped} bytes gzipped, more than ${HLSJS_LIMIT_BYTES}`);
  process.exitCode = 1;
}

function print(name, { raw, gzipped }) {
  console.log(`${name.padEnd(38)} ${String(raw).padStart(9)} ${String(gzipped).padStart(9)}`);
}

function sumOf(entry) {
  const sum = { raw: 0, gzipped: 0 };
  for (const name of neededBy(entry)) {
    sum.raw += files.get(name).raw;
    sum.gzipped += files.get(name).gzipped;
  }
  return sum;
}

/** The files that importing this entry brings: what its modules name, and what those name. */
function neededBy(entry) {
  const needed = new Set([`${entry}.js`]);
  for (const name of needed) {
    const { text } = files.get(name);
    for (const [, other] of text.matchAll(/["'`]\.\/([\w-]+\.(?:js|wasm))["'`]/g)) if (files.has(other)) needed.add(other);
  }
  return needed;
}
