// Unchanged players behind the Service Worker: they share, also with pages that have an adapter, and play on whatever fails.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser } from "../support/browsers.mjs";
import { startSetting } from "../support/setting.mjs";
import { playsOn } from "../support/viewers.mjs";

const TEST_TIMEOUT_MS = 90_000;
/** What a viewer must have had from others before it counts as sharing: more than one segment. */
const SHARED_BYTES = 300_000;
/** Seconds ahead of the playhead, so few that the player has requests to come. */
const SHORT_BUFFER = 6;

let setting;
before(async () => (setting = await startSetting()));
after(() => setting?.stop());

function pageOf({ pages, tracker, hls }, { player = "hlsjs", src = hls, buffer = 20 } = {}) {
  return `${pages.url}/pages/service_worker.html?${new URLSearchParams({ player, src, tracker: tracker.url, buffer })}`;
}

const p2pBytes = (page) => page.until((bytes) => viewer.state().p2pBytes >= bytes, { argument: SHARED_BYTES, what: "bytes from the other viewer" });

async function isFaultless(page) {
  const state = await page.ask(() => viewer.state());
  assert.deepEqual([state.errors, page.errors], [[], []]);
}

async function secondHasItFromFirst(browser, url) {
  const first = await browser.open(url);
  await playsOn(first);
  const second = await browser.open(url);
  await playsOn(second);
  await p2pBytes(second);
  for (const page of [first, second]) {
    await isFaultless(page);
    await page.close();
  }
}

for (const kind of ["chromium", "firefox"]) {
  describe(kind, () => {
    let browser;
    before(async () => (browser = await openBrowser(kind)));
    after(() => browser?.close());

    for (const [name, player, format] of [["hls.js, HLS", "hlsjs", "hls"], ["Shaka, DASH", "shaka", "dash"]]) {
      test(`${name}: the second viewer has its segments from the first`, { timeout: TEST_TIMEOUT_MS }, async () => {
        const url = pageOf(setting, { player, src: setting[format] });
        await secondHasItFromFirst(browser, url);
      });
    }
  });
}

describe("chromium alone", () => {
  let browser;
  before(async () => (browser = await openBrowser("chromium")));
  after(() => browser?.close());

  test("a page with the adapter for hls.js is in the same swarm", { timeout: TEST_TIMEOUT_MS }, async () => {
    const first = await browser.open(pageOf(setting));
    await playsOn(first);
    const second = await browser.open(setting.player({ engine: "hlsjs" }));
    await playsOn(second);
    await p2pBytes(second);
    for (const page of [first, second]) {
      await isFaultless(page);
      await page.close();
    }
  });

  test("the browser's own HLS player shares, too", { timeout: TEST_TIMEOUT_MS }, async () => {
    const url = pageOf(setting, { player: "element" });
    await secondHasItFromFirst(browser, url);
  });

  test("tabs share one engine, and go on when its tab is closed", { timeout: TEST_TIMEOUT_MS }, async () => {
    const url = pageOf(setting, { buffer: SHORT_BUFFER });
    const first = await browser.open(url);
    await playsOn(first);
    const second = await browser.open(url, { beside: first });
    await playsOn(second);
    const engines = (page) => page.ask(async () => (await viewer.p2p.getStats()).length);
    assert.deepEqual([await engines(first), await engines(second)], [1, 0]);
    await first.close();
    await second.until(async () => (await viewer.p2p.getStats())[0]?.segmentsLoaded > 0, { what: "an engine in the tab that is left" });
    await playsOn(second);
    await isFaultless(second);
    await second.close();
  });

  test("a worker that the browser has ended knows its pages again", { timeout: TEST_TIMEOUT_MS }, async () => {
    const page = await browser.open(pageOf(setting, { buffer: SHORT_BUFFER }));
    await playsOn(page);
    const devtools = await page.devtools();
    await devtools.send("ServiceWorker.enable");
    await devtools.send("ServiceWorker.stopAllWorkers");
    const delivered = await page.ask(async () => (await viewer.p2p.getStats())[0].deliveredBytes);
    const goesOn = async (delivered) => (await viewer.p2p.getStats())[0].deliveredBytes > delivered;
    await page.until(goesOn, { argument: delivered, what: "segments through the engine again" });
    await isFaultless(page);
    await page.close();
  });

  test("the page goes without us at any time", { timeout: TEST_TIMEOUT_MS }, async () => {
    const page = await browser.open(pageOf(setting, { buffer: SHORT_BUFFER }));
    await playsOn(page);
    await page.ask(() => viewer.p2p.unregister());
    await playsOn(page);
    await isFaultless(page);
    await page.close();
  });

  for (const module of ["manifests.wasm", "engine.wasm"]) {
    test(`without ${module} players play from the origin`, { timeout: TEST_TIMEOUT_MS }, async () => {
      const incomplete = await startSetting({ routes: { [`/p2p-media/${module}`]: "/nowhere" } });
      const page = await browser.open(pageOf(incomplete));
      await playsOn(page);
      const state = await page.ask(() => viewer.state());
      assert.deepEqual([state.errors, state.httpBytes], [[], 0]);
      await page.close();
      await incomplete.stop();
    });
  }
});
