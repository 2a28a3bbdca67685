// A hundred players made and destroyed in one page leave nothing: no connection, no socket, no memory.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser } from "../support/browsers.mjs";
import { startSetting } from "../support/setting.mjs";
import { playsOn } from "../support/viewers.mjs";

const TEST_TIMEOUT_MS = 300_000;
const PLAYERS = 100;
/** Caches of the browser and of the engine's module fill with the first few. */
const WARM_UP_PLAYERS = 12;
/** Of a hundred players that each kept but one segment list or buffer, there would be more left. */
const MAX_GROWTH_BYTES = 2 * 1024 * 1024;

let setting, browser;
before(async () => {
  [setting, browser] = await Promise.all([startSetting(), openBrowser("chromium", { flags: ["--enable-precise-memory-info"] })]);
});
after(() => Promise.all([setting?.stop(), browser?.close()]));

test("a hundred players leave nothing behind", { timeout: TEST_TIMEOUT_MS }, async (t) => {
  // Somebody to connect to.
  const neighbour = await browser.open(setting.player());
  await playsOn(neighbour);
  const page = await browser.open(`${setting.pages.url}/pages/many.html?${new URLSearchParams({ src: setting.hls, tracker: setting.tracker.url })}`);
  await page.until(() => Boolean(window.makeAndDestroy), { what: "the page" });
  const devtools = await page.devtools();
  await devtools.send("HeapProfiler.enable");

  await page.ask((count) => window.makeAndDestroy(count), WARM_UP_PLAYERS);
  const before = await used(page, devtools);
  const reached = await page.ask((count) => window.makeAndDestroy(count), PLAYERS);
  const after = await used(page, devtools);

  t.diagnostic(`${after - before} bytes more after ${PLAYERS} players, ${reached} of which got as far as they should`);
  assert.ok(reached >= PLAYERS * 0.9, `${reached} players got as far as they should`);
  assert.ok(after - before < MAX_GROWTH_BYTES, `${after - before} bytes more than before`);
  assert.deepEqual(page.errors, []);
});

/** Bytes that the page holds when all that can be collected is, and nothing is connected any more. */
async function used(page, devtools) {
  const closed = () => openConnections.peers.size === 0 && openConnections.sockets.size === 0;
  await page.until(closed, { what: "all connections closed" });
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize, backingStorageSize = 0 } = await devtools.send("Runtime.getHeapUsage");
  return usedSize + backingStorageSize;
}
