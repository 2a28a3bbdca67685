// The package in projects with Vite and webpack, without a plugin for wasm, and in TypeScript.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build, createServer } from "vite";
import webpack from "webpack";
import { openBrowser } from "../support/browsers.mjs";
import { makeConsumer } from "../support/consumer.mjs";
import { startSetting } from "../support/setting.mjs";
import { startStaticServer } from "../support/static_server.mjs";
import { playsOn } from "../support/viewers.mjs";

const TEST_TIMEOUT_MS = 240_000;
const TYPESCRIPT = fileURLToPath(new URL("../node_modules/typescript/bin/tsc", import.meta.url));

let setting, browser, consumer;
before(async () => {
  [setting, browser] = await Promise.all([startSetting(), openBrowser("chromium")]);
  consumer = makeConsumer();
});
after(async () => {
  consumer?.remove();
  await Promise.all([setting?.stop(), browser?.close()]);
});

test("Vite, its development server", { timeout: TEST_TIMEOUT_MS }, async () => {
  const server = await createServer({ root: consumer.folder, configFile: false, logLevel: "error", server: { port: 0, host: "127.0.0.1" } });
  try {
    await server.listen();
    await sharesBetweenPages(`http://127.0.0.1:${server.httpServer.address().port}/`);
  } finally {
    await server.close();
  }
});

test("Vite, a build", { timeout: TEST_TIMEOUT_MS }, async () => {
  const outDir = join(consumer.folder, "dist-vite");
  await build({ root: consumer.folder, configFile: false, logLevel: "error", build: { outDir } });
  await sharesFrom(outDir);
});

test("webpack, a build", { timeout: TEST_TIMEOUT_MS }, async () => {
  const path = join(consumer.folder, "dist-webpack");
  const stats = await new Promise((resolve, reject) => {
    const output = { path, filename: "main.js" };
    // Making hls.js small takes longer than all the rest, and is not what is tested.
    const optimization = { minimize: false };
    const compiler = webpack({ mode: "production", context: consumer.folder, entry: "./main.js", output, optimization });
    compiler.run((error, stats) => compiler.close(() => (error ? reject(error) : resolve(stats))));
  });
  assert.deepEqual(stats.toJson({ all: false, errors: true }).errors, []);
  cpSync(join(consumer.folder, "index.html"), join(path, "index.html"));
  await sharesFrom(path);
});

for (const [module, moduleResolution] of [["esnext", "bundler"], ["nodenext", "nodenext"]]) {
  test(`TypeScript, strict, modules found as by ${moduleResolution}`, { timeout: TEST_TIMEOUT_MS }, () => {
    const compilerOptions = { strict: true, noEmit: true, target: "es2022", lib: ["es2022", "dom"], types: [], module, moduleResolution };
    writeFileSync(join(consumer.folder, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(consumer.folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["types.ts"] }));
    const { stdout, status } = spawnSync(process.execPath, [TYPESCRIPT, "-p", consumer.folder], { encoding: "utf8" });
    assert.equal(stdout, "");
    assert.equal(status, 0);
  });
}

async function sharesFrom(folder) {
  const server = await startStaticServer({ "/": folder });
  try {
    await sharesBetweenPages(`${server.url}/`);
  } finally {
    await server.close();
  }
}

async function sharesBetweenPages(address) {
  const url = `${address}?${new URLSearchParams({ src: setting.hls, tracker: setting.tracker.url })}`;
  const first = await browser.open(url);
  await playsOn(first);
  const second = await browser.open(url);
  await second.until(() => window.viewer?.state().p2pBytes > 0, { what: "bytes from the first page" });
  await playsOn(second);
  for (const page of [first, second]) {
    assert.deepEqual(page.errors, []);
    assert.deepEqual((await page.ask(() => viewer.state())).errors, []);
    await page.close();
  }
}
