// Pages of ours, pages with the official engine and native viewers in one swarm: bytes flow each way, and nobody complains.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser } from "../support/browsers.mjs";
import { PROGRAM, startSetting } from "../support/setting.mjs";
import { startWatch } from "../support/program.mjs";
import { hasPeers, playsOn, segmentFaults } from "../support/viewers.mjs";

const TEST_TIMEOUT_MS = 240_000;
/** More than a segment of the video. */
const SHARED_BYTES = 200_000;
/** Most seconds for which a native viewer stays: the whole sample. */
const WATCH_SECONDS = 60;
/** What the ids of pages begin with where they must be told from native viewers. */
const PAGES_PREFIX = "-PA0000-";

let setting, browser;
before(async () => {
  // Chromium's addresses as it gives them by default, hidden behind mDNS names.
  [setting, browser] = await Promise.all([startSetting(), openBrowser("chromium", { mdns: true })]);
});
after(() => Promise.all([setting?.stop(), browser?.close()]));

for (const [giver, taker] of [["official", "hlsjs"], ["hlsjs", "official"]]) {
  test(`${taker === "hlsjs" ? "our page" : "an official page"} takes from the other kind`, { timeout: TEST_TIMEOUT_MS }, async () => {
    // A swarm of its own, apart from those of the other tests.
    const core = { swarmId: `pages-${giver}` };
    const first = await browser.open(setting.player({ engine: giver, core }));
    await playsOn(first);
    const second = await browser.open(setting.player({ engine: taker, core }));
    await sharesWith(second);
    await withoutComplaints(first, second);
    await Promise.all([first.close(), second.close()]);
  });
}

test("our page takes from a native viewer", { timeout: TEST_TIMEOUT_MS }, async () => {
  const watch = native("native-gives");
  try {
    await setting.tracker.until(({ peers }) => peers > 0);
    const page = await browser.open(setting.player({ core: { swarmId: "native-gives" } }));
    await sharesWith(page);
    await withoutComplaints(page);
    await page.close();
  } finally {
    await watch.stop();
  }
});

test("a native viewer takes from pages of both kinds", { timeout: TEST_TIMEOUT_MS }, async () => {
  const core = { swarmId: "native-takes", trackerClientVersionPrefix: PAGES_PREFIX };
  const pages = [await browser.open(setting.player({ core })), await browser.open(setting.player({ engine: "official", core }))];
  for (const page of pages) await playsOn(page);
  const watch = native("native-takes");
  try {
    for (const page of pages) await hasPeers(page, 2);
    // One may be asked for more than the other: together they give what counts.
    const given = async () => (await Promise.all(pages.map((page) => page.ask(givenToNative, PAGES_PREFIX)))).reduce((sum, bytes) => sum + bytes);
    await pages[0].until(async () => (await given()) >= SHARED_BYTES, { here: true, what: "bytes for the native viewer" });
    await withoutComplaints(...pages);
  } finally {
    await watch.stop();
  }
  const report = await watch.report;
  assert.ok(report.p2p_bytes > SHARED_BYTES / 2, `${report.p2p_bytes} bytes from the pages`);
  assert.deepEqual(report.errors, []);
  assert.equal(report.mismatched, 0);
  for (const page of pages) await page.close();
});

/** Runs in a page. */
function givenToNative(pagesPrefix) {
  const { to } = window.viewer.state();
  return Object.entries(to).reduce((sum, [peerId, bytes]) => sum + (peerId.startsWith(pagesPrefix) ? 0 : bytes), 0);
}

function native(swarm) {
  const flags = ["--swarm-id", swarm, "--check"];
  return startWatch(PROGRAM, setting.hls, { tracker: setting.tracker.url, seconds: WATCH_SECONDS, flags });
}

async function sharesWith(page) {
  await page.until((bytes) => window.viewer?.state().p2pBytes >= bytes, { argument: SHARED_BYTES, what: "bytes from the others" });
  await playsOn(page);
}

async function withoutComplaints(...pages) {
  for (const page of pages) {
    const state = await page.ask(() => viewer.state());
    assert.deepEqual([...state.errors, ...segmentFaults(state), ...page.errors], []);
  }
}
