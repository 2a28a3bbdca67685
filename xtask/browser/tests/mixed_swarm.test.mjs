// Pages of ours, pages with the official engine and native viewers in one swarm: bytes flow each way, and nobody complains.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
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
/** The same where pages of ours must be told from official ones, and by native viewers as their like. */
const PREFIXES = { official: "-PA0000-", hlsjs: "-PRWEB0-" };
const JOIN_INTERVAL_MS = 4_000;
/** Six official pages in place of these viewers take this share of all bytes from each other. */
const LEAST_SHARE = 0.62;

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

test("pages of both kinds, alternating, and two native viewers: bytes flow in all six directions", { timeout: TEST_TIMEOUT_MS }, async (context) => {
  const swarmId = "all-six";
  const watches = [native(swarmId)];
  const pages = [];
  try {
    await setting.tracker.until(({ peers }) => peers > 0);
    for (const engine of ["official", "hlsjs", "official", "hlsjs"]) {
      await delay(JOIN_INTERVAL_MS);
      const core = { swarmId, trackerClientVersionPrefix: PREFIXES[engine] };
      pages.push({ engine, page: await browser.open(setting.player({ engine, core })) });
    }
    await delay(JOIN_INTERVAL_MS);
    watches.push(native(swarmId));
    for (const { page } of pages) {
      await page.until(() => window.viewer.state().ended, { timeout: 2 * WATCH_SECONDS * 1000, what: "the end of the film" });
    }
    const flows = {};
    let delivered = 0;
    let fromPeers = 0;
    for (const { engine, page } of pages) {
      const { from, to, p2pBytes, httpBytes } = await page.ask(() => window.viewer.state());
      delivered += p2pBytes + httpBytes;
      fromPeers += p2pBytes;
      for (const [peer, bytes] of Object.entries(from)) note(flows, kindOf(peer), engine, bytes);
      for (const [peer, bytes] of Object.entries(to)) if (kindOf(peer) === "native") note(flows, engine, "native", bytes);
      await withoutComplaints(page);
    }
    for (const report of await Promise.all(watches.map(({ report }) => report))) {
      delivered += report.p2p_bytes + report.http_bytes;
      fromPeers += report.p2p_bytes;
      assert.deepEqual(report.errors, []);
      assert.equal(report.mismatched, 0);
    }
    context.diagnostic(`${((100 * fromPeers) / delivered).toFixed(1)} % from peers: ${JSON.stringify(flows)}`);
    const kinds = ["official", "hlsjs", "native"];
    const silent = kinds.flatMap((giver) => kinds.filter((taker) => taker !== giver && !flows[`${giver} to ${taker}`]).map((taker) => `${giver} to ${taker}`));
    assert.deepEqual(silent, [], JSON.stringify(flows));
    assert.ok(fromPeers / delivered >= LEAST_SHARE, `${fromPeers} of ${delivered} bytes from peers`);
  } finally {
    await Promise.all([...watches.map((watch) => watch.stop()), ...pages.map(({ page }) => page.close())]);
  }
});

function note(flows, giver, taker, bytes) {
  const flow = `${giver} to ${taker}`;
  flows[flow] = (flows[flow] ?? 0) + bytes;
}

function kindOf(peerId) {
  return Object.keys(PREFIXES).find((kind) => peerId.startsWith(PREFIXES[kind])) ?? "native";
}

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
