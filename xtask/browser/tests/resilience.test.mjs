// What happens to viewers in the world: hidden tabs, sleep, lost networks, dead trackers, neighbours that vanish. Playback goes on.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { openBrowser } from "../support/browsers.mjs";
import { MEDIA, PROGRAM, startSetting } from "../support/setting.mjs";
import { startOrigin, startTracker } from "../support/program.mjs";
import { hasPeers, playsOn } from "../support/viewers.mjs";

const TEST_TIMEOUT_MS = 300_000;
/** Longer than the engine waits for bytes, for the origin, and for a peer to say something. */
const AWAY_MS = 12_000;
/** Until WebRTC itself takes a peer that says nothing for gone. */
const PEER_GONE_TIMEOUT_MS = 60_000;
/** A live stream does not end while somebody sleeps. */
const LIVE = { originFlags: ["--live"] };

let setting, browser;
const pages = [];
before(async () => {
  // As browsers are: tabs that nobody sees are throttled.
  [setting, browser] = await Promise.all([startSetting(LIVE), openBrowser("chromium", { throttled: true })]);
});
after(() => Promise.all([setting?.stop(), browser?.close()]));
afterEach(async () => {
  for (const page of pages.splice(0)) await page.close();
});

test("a hidden tab plays on and shares", { timeout: TEST_TIMEOUT_MS }, async () => {
  const hiding = await openBrowser("chromium", { throttled: true, hides: true });
  try {
    const url = setting.player({ core: { swarmId: "hidden" } });
    const [first, second] = [await hiding.open(url), await open(url)];
    await Promise.all([first, second].map((page) => hasPeers(page, 1)));
    await playsOn(first);
    // A silent video that nobody sees is paused by the browser.
    await first.ask(() => (document.querySelector("video").muted = false));
    const other = await hiding.open("about:blank", { beside: first });
    await other.driver.bringToFront();
    await first.until(() => document.visibilityState === "hidden", { what: "being hidden" });
    const shared = () => viewer.state().uploadedBytes + viewer.state().p2pBytes;
    const before = await first.ask(shared);
    await Promise.all([playsOn(second, { seconds: AWAY_MS / 1000 }), playsOn(first, { seconds: AWAY_MS / 1000 })]);
    assert.ok((await first.ask(shared)) > before, "bytes shared while hidden");
    await calm(first, second);
  } finally {
    await hiding.close();
  }
});

test("a page that was frozen for a while plays on", { timeout: TEST_TIMEOUT_MS }, async () => {
  const [first, second] = await connectedPair("frozen");
  const devtools = await first.devtools();
  await devtools.send("Page.setWebLifecycleState", { state: "frozen" });
  // The other goes on meanwhile, whatever it had asked of the frozen one.
  await playsOn(second, { seconds: AWAY_MS / 1000 });
  await devtools.send("Page.setWebLifecycleState", { state: "active" });
  await playsOn(first, { seconds: 6 });
  await shareAgain(first, second);
  await calm(first, second);
});

test("a machine that slept: time jumps for the whole page", { timeout: TEST_TIMEOUT_MS }, async () => {
  const sleeper = await openBrowser("chromium");
  try {
    const core = { swarmId: "asleep" };
    const first = await sleeper.open(setting.player({ core }));
    const second = await open(setting.player({ core }));
    await Promise.all([hasPeers(first, 1), hasPeers(second, 1)]);
    await playsOn(first);
    const processes = await sleeper.pageProcesses();
    for (const id of processes) process.kill(id, "SIGSTOP");
    try {
      await playsOn(second, { seconds: AWAY_MS / 1000 });
    } finally {
      for (const id of processes) process.kill(id, "SIGCONT");
    }
    await playsOn(first, { seconds: 6 });
    await shareAgain(first, second);
    await calm(first, second);
  } finally {
    await sleeper.close();
  }
});

test("a network that is lost and comes back", { timeout: TEST_TIMEOUT_MS }, async () => {
  const [first, second] = await connectedPair("offline");
  await first.context.setOffline(true);
  await playsOn(second, { seconds: AWAY_MS / 1000 });
  await first.context.setOffline(false);
  await playsOn(first, { seconds: 6 });
  await shareAgain(first, second);
  await calm(first, second);
});

test("an origin that is gone for a while", { timeout: TEST_TIMEOUT_MS }, async () => {
  const origin = await startOrigin(PROGRAM, MEDIA);
  const listen = new URL(origin.url).host;
  const page = await open(setting.player({ src: `${origin.url}media_0.m3u8`, player: { maxBufferLength: 6, maxMaxBufferLength: 6 } }));
  await playsOn(page);
  await origin.stop();
  await page.until(() => viewer.state().ahead < 0.5, { what: "the buffer running dry" });
  const again = await startOrigin(PROGRAM, MEDIA, { listen });
  try {
    await playsOn(page, { seconds: 6 });
    assert.deepEqual((await page.ask(() => viewer.state())).errors, []);
  } finally {
    await again.stop();
  }
});

test("a tracker that dies, and one that comes back", { timeout: TEST_TIMEOUT_MS }, async () => {
  const tracker = await startTracker(PROGRAM);
  const core = { swarmId: "tracker", announceTrackers: [tracker.url] };
  const [first, second] = [await open(setting.player({ core })), await open(setting.player({ core }))];
  await Promise.all([hasPeers(first, 1), hasPeers(second, 1)]);
  await tracker.stop();
  // Who has met needs no tracker.
  await shareAgain(first, second);
  const third = await open(setting.player({ core }));
  await playsOn(third, { seconds: 4 });
  await third.until(() => viewer.state().trackerErrors > 0, { what: "word of the tracker" });
  const again = await startTracker(PROGRAM, { listen: new URL(tracker.url).host });
  try {
    await hasPeers(third, 1, { timeout: 90_000 });
    // Who comes to be ahead of the others gives and takes nothing.
    await third.until(() => viewer.state().p2pBytes + viewer.state().uploadedBytes > 0, { what: "bytes from the others or to them" });
    for (const page of [first, second, third]) await playsOn(page);
    await calm(first, second, third);
  } finally {
    await again.stop();
  }
});

test("a neighbour that vanishes without a word", { timeout: TEST_TIMEOUT_MS }, async () => {
  const [first, second] = await connectedPair("vanish");
  const third = await open(setting.player({ core: { swarmId: "vanish" } }));
  for (const page of [first, second, third]) await hasPeers(page, 2);
  const devtools = await third.devtools();
  devtools.send("Page.crash").catch(() => {});
  await third.crashed;
  await playsOn(first, { seconds: AWAY_MS / 1000 });
  await Promise.all([first, second].map((page) => page.until(() => viewer.state().peers === 1, { timeout: PEER_GONE_TIMEOUT_MS, what: "one peer less" })));
  await shareAgain(first, second);
  await calm(first, second);
});

async function open(url, options) {
  const page = await browser.open(url, options);
  pages.push(page);
  return page;
}

async function connectedPair(swarmId) {
  const url = setting.player({ core: { swarmId } });
  const pair = [await open(url), await open(url)];
  await Promise.all(pair.map((page) => hasPeers(page, 1)));
  await Promise.all(pair.map((page) => playsOn(page)));
  return pair;
}

/** From now on bytes flow between the two once more. */
async function shareAgain(...pair) {
  const shared = async () => {
    const states = await Promise.all(pair.map((page) => page.ask(() => viewer.state())));
    return states.reduce((sum, { p2pBytes }) => sum + p2pBytes, 0);
  };
  const before = await shared();
  await pair[0].until(async () => (await shared()) > before, { here: true, what: "more bytes between the two" });
}

/** Nobody has thrown anything, and no player has given up. Requests that fail while there is no network are told on the console alone. */
async function calm(...viewers) {
  for (const page of viewers) assert.deepEqual((await page.ask(() => viewer.state())).errors, []);
}
