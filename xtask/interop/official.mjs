// Viewers of ours and official JS players (hls.js pages in Chromium) in one swarm: does each take from the other, and is all of it right?
//
// cargo xtask interop --rig DIR [--case NAME[,NAME]] [--tracker official|ours|URL[,…]] [--seconds N] [--json FILE] [--logs DIR] [--mdns]
//
// DIR is a folder with rig/{origin,tracker,lib}.mjs, rig/player.html, media/ and node_modules/ (bittorrent-tracker, playwright-core); it is no
// part of the project, and without it this check cannot be run. Several trackers are used at once. --mdns leaves Chromium's addresses hidden.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";

// A letter for each viewer, in the order in which they join: P is an official page, W a viewer of ours.
const CASES = {
  "vod-4s": { stream: "vod", segment: 4, viewers: "PWWP" },
  "vod-2s": { stream: "vod", segment: 2, viewers: "PWWP" },
  "live-18": { stream: "live", segment: 2, viewers: "PWWP", latency: 18 },
  // The official player asks peers only for what it needs later than 15 s from now: here it can but give.
  "live-10": { stream: "live", segment: 2, viewers: "PWWP", latency: 10, pagesOnlyGive: true },
  "vod-page-first": { stream: "vod", segment: 4, viewers: "PW" },
  "vod-ours-first": { stream: "vod", segment: 4, viewers: "WP" },
  "live-page-first": { stream: "live", segment: 2, viewers: "PW", latency: 18 },
  // Ours near the live edge, where nobody else has anything yet: what they have from peers, they have from each other.
  "live-ours-at-edge": { stream: "live", segment: 2, viewers: "PWWP", latency: 18, oursAtEdge: true },
  // Ours leave in the middle, and nobody takes that for an error.
  "vod-ours-leave": { stream: "vod", segment: 4, viewers: "PPWW", oursLeaveAfter: 0.6, pagesOnlyGive: true },
  // Ours is always a little ahead and takes all from the origin, the page nearly all from ours: together they need the stream once.
  "live-ours-first": { stream: "live", segment: 2, viewers: "WP", latency: 18, oursOnlyGive: true },
  // Ours read parts 3 s behind the live edge; the official page, which knows whole segments alone, is in the same swarm and is not disturbed.
  "low-latency": { stream: "parts", viewers: "PWWW", latency: 10, oursAtLatency: 3, pagesOnlyGive: true, oursOnlyGive: true, oursShareAmongThemselves: 0.4 },
};
const MAIN_CASES = ["vod-4s", "vod-2s", "live-18", "live-10"];
const SECONDS_BETWEEN_JOINS = 6;
const LIVE_WINDOW_SEGMENTS = 12;
// The stream goes on after the last figure is taken, so that nobody's end is counted.
const SPARE_SECONDS = 60;
// Ours leave this long after the pages' figures were taken.
const WATCH_LEAVES_AFTER_S = 2;

const { values: options } = parseArgs({
  options: {
    rig: { type: "string" },
    program: { type: "string" },
    case: { type: "string" },
    tracker: { type: "string", default: "official" },
    seconds: { type: "string", default: "60" },
    json: { type: "string" },
    logs: { type: "string" },
    mdns: { type: "boolean", default: false },
  },
});
if (!options.rig || !options.program) fail("the folder of the rig is missing: cargo xtask interop --rig DIR [--case NAMES] [--tracker official|ours|URL[,…]] [--seconds N] [--json FILE] [--mdns]");
const rig = path.resolve(options.rig);
for (const needed of ["rig/origin.mjs", "rig/player.html", "media", "node_modules/bittorrent-tracker", "node_modules/playwright-core"]) {
  if (!fs.existsSync(path.join(rig, needed))) fail(`${rig} is not a folder with the official players: ${needed} is missing`);
}
if (!fs.existsSync(options.program)) fail(`${options.program}: no such program`);
const load = (file) => import(pathToFileURL(path.join(rig, file)));
const { startOrigin } = await load("rig/origin.mjs");
const { startTracker } = await load("rig/tracker.mjs");
const { FLAGS, pageUrl } = await load("rig/lib.mjs");
const { chromium } = await load("node_modules/playwright-core/index.mjs");

const seconds = Number(options.seconds);
const names = options.case ? options.case.split(",") : MAIN_CASES;
const logs = options.logs ?? fs.mkdtempSync(path.join(os.tmpdir(), "interop-"));
fs.mkdirSync(logs, { recursive: true });
const results = [];
for (const name of names) {
  const result = await run(name, CASES[name] ?? fail(`no case is called ${name}: ${Object.keys(CASES).join(", ")}`));
  results.push(result);
  print(result);
}
if (options.json) fs.writeFileSync(options.json, JSON.stringify(results, null, 1));
process.exit(results.some((result) => result.failures.length) ? 1 : 0);

async function run(name, expected) {
  const { stream, segment, viewers, latency, oursLeaveAfter, oursAtEdge, oursAtLatency } = expected;
  const origin = await startOrigin({ port: 0 });
  const parts = stream === "parts" ? await serveParts() : undefined;
  const trackers = [];
  for (const which of options.tracker.split(",")) trackers.push(await openTracker(which));
  const urls = trackers.map((tracker) => tracker.url);
  const total = seconds + SPARE_SECONDS;
  const source = stream === "live" ? `/live/${name}/${LIVE_WINDOW_SEGMENTS}` : `/cut/${name}/${total}`;
  const src = parts?.url ?? `http://127.0.0.1:${origin.port}${source}/vod_${segment}s/master.m3u8`;
  const flags = options.mdns ? FLAGS.filter((flag) => !flag.includes("Mdns")) : FLAGS;
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: flags });
  const pages = [];
  const watches = [];
  const began = Date.now();
  const end = began + seconds * 1000;
  const oursLeave = oursLeaveAfter ? began + oursLeaveAfter * seconds * 1000 : end + WATCH_LEAVES_AFTER_S * 1000;
  try {
    for (const [index, letter] of [...viewers].entries()) {
      await sleepUntil(began + index * SECONDS_BETWEEN_JOINS * 1000);
      if (letter === "P") pages.push(await openPage(browser, origin.port, src, urls, latency, !parts));
      else watches.push(startWatch(`${name}-${watches.length}`, src, urls, oursAtEdge ? undefined : (oursAtLatency ?? latency), (oursLeave - Date.now()) / 1000));
    }
    await sleepUntil(end);
    const stats = await Promise.all(pages.map(async ({ page, console }) => ({ ...(await page.evaluate(() => ({ ...window.stats, warnings: window.warnings }))), console })));
    const reports = await Promise.all(watches.map((watch) => watch.report));
    return judge(name, expected, stats, reports);
  } finally {
    for (const { process } of watches) if (process.exitCode === null) process.kill();
    await browser.close().catch(() => {});
    origin.close();
    parts?.close();
    for (const tracker of trackers) tracker.close();
  }
}

async function openPage(browser, port, src, trackers, latency, lowLatencyMode) {
  const page = await (await browser.newContext()).newPage();
  const console = [];
  page.on("pageerror", (error) => console.push(String(error)));
  page.on("console", (message) => message.type() === "error" && console.push(message.text()));
  await page.addInitScript(() => {
    window.warnings = [];
    const timer = setInterval(() => {
      if (!window.engine) return;
      clearInterval(timer);
      for (const name of ["onTrackerWarning", "onTrackerError", "onPeerError", "onSegmentError"]) {
        window.engine.addEventListener(name, (event) => window.warnings.push([name, event.peerId, event.error?.type, (event.warning ?? event.error)?.message].filter(Boolean).join(" ")));
      }
    }, 5);
  });
  await page.goto(pageUrl(port, { engine: "hlsjs", src, core: { announceTrackers: trackers }, playerConfig: latency ? { liveSyncDuration: latency, lowLatencyMode } : undefined }));
  return { page, console };
}

function startWatch(name, src, trackers, latency, stay) {
  const json = path.join(logs, `${name}.json`);
  const args = ["watch", src, ...trackers.flatMap((url) => ["--tracker", url]), "--seconds", stay.toFixed(1), "--check", "--json", json, "-vv"];
  if (latency) args.push("--latency", String(latency));
  const process = spawn(options.program, args, { stdio: ["ignore", "ignore", fs.openSync(path.join(logs, `${name}.log`), "w")] });
  const report = new Promise((resolve) => {
    process.on("error", (error) => resolve({ errors: [String(error)] }));
    process.on("exit", (code) => resolve(fs.existsSync(json) ? JSON.parse(fs.readFileSync(json)) : { errors: [`exit code ${code}, no report`] }));
  });
  return { process, report };
}

/** The project's sample as a live stream in parts. */
async function serveParts() {
  const port = 40000 + (process.pid % 20000);
  const media = new URL("../../examples/media", import.meta.url).pathname;
  const child = spawn(options.program, ["serve", media, "--live", "--low-latency", "--listen", `127.0.0.1:${port}`], { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}/master.m3u8`;
  await answers(url);
  return { url, close: () => child.kill() };
}

/** A tracker to meet at: the official one, the program's own, or one that runs already. */
async function openTracker(which) {
  if (which === "official") {
    const tracker = await startTracker({ port: 0 });
    return { url: `ws://127.0.0.1:${tracker.port}`, close: () => tracker.close() };
  }
  if (/^wss?:/.test(which)) return { url: which, close: () => {} };
  if (which !== "ours") fail(`no such tracker: ${which}`);
  const port = 20000 + (process.pid % 20000);
  const child = spawn(options.program, ["tracker", "--listen", `127.0.0.1:${port}`], { stdio: "ignore" });
  await answers(`http://127.0.0.1:${port}/stats.json`);
  return { url: `ws://127.0.0.1:${port}`, close: () => child.kill() };
}

async function answers(url) {
  for (let tries = 0; tries < 100; tries++) {
    if (await fetch(url).then((answer) => answer.ok, () => false)) return;
    await sleepUntil(Date.now() + 50);
  }
  fail(`${url} does not answer`);
}

/** What must hold, and the figures. Peer ids say who sent: official ones begin with `-PM`, ours do not. */
function judge(name, { pagesOnlyGive, oursOnlyGive, oursShareAmongThemselves }, pages, watches) {
  const sum = (items, of) => items.reduce((total, item) => total + (of(item) ?? 0), 0);
  const ofOurs = (byPeer) => sum(Object.entries(byPeer).filter(([peer]) => !peer.startsWith("-PM")), ([, bytes]) => bytes);
  const figures = {
    pages: pages.map((page) => ({
      http: page.httpBytes, p2p: page.p2pBytes, p2pFromOurs: ofOurs(page.downloadFrom), uploaded: page.uploadBytes, uploadedToOurs: ofOurs(page.uploadTo),
      startupMs: page.startupMs, stalls: page.stalls, stallMs: Math.round(page.stallMs), playedS: Math.round(page.playedSec), latencyS: page.latency, ended: page.ended,
      peers: page.peers, peersMax: page.peersMax, peerConnects: page.peerConnects, peerCloses: page.peerCloses, peerErrors: page.peerErrors,
      segErrors: page.segErrors, segAborts: page.segAborts, warnings: [...new Set(page.warnings)], errors: [...new Set([...page.errors, ...page.console])],
    })),
    watches,
    http: sum(pages, (page) => page.httpBytes) + sum(watches, (watch) => watch.http_bytes),
    delivered: sum(pages, (page) => page.delivered) + sum(watches, (watch) => watch.delivered_bytes),
  };
  figures.offload = 1 - figures.http / figures.delivered;
  const [http, p2p] = [sum(watches, (watch) => watch.http_bytes), sum(watches, (watch) => watch.p2p_bytes)];
  const failures = [];
  const must = (holds, what) => holds || failures.push(what);
  must(oursOnlyGive || sum(figures.pages, (page) => page.uploadedToOurs) > 0, "ours received nothing from official players");
  must(pagesOnlyGive || sum(figures.pages, (page) => page.p2pFromOurs) > 0, "official players received nothing from ours");
  must(oursOnlyGive || p2p > http, `only ${p2p} of ${p2p + http} bytes of ours came from peers`);
  must(p2p >= (oursShareAmongThemselves ?? 0) * (http + p2p), `only ${p2p} of ${p2p + http} bytes of ours came from peers`);
  must(watches.every((watch) => watch.checked > 0 && watch.mismatched === 0), "segments of ours differ from the origin's or were not checked");
  must(watches.every((watch) => !watch.errors.length), "viewers of ours report errors");
  must(figures.pages.every((page) => !page.peerErrors), "a page reports a peer error");
  must(figures.pages.every((page) => !Object.keys(page.segErrors).length), "a page reports a segment error");
  // What hls.js says about its buffer and overcomes by itself has nothing to do with peers.
  // hls.js asks for the playlist of a low-latency stream ahead of time and gives up after 1.6 s; a page alone reports the same now and then.
  const harmless = /^mediaError buffer|^networkError (levelLoadTimeOut|audioTrackLoadTimeOut)$/;
  must(figures.pages.every((page) => page.errors.every((error) => harmless.test(error))), "a page reports an error");
  return { case: name, tracker: options.tracker, mdns: options.mdns, seconds, failures, ...figures };
}

function print({ case: name, tracker, failures, pages, watches, offload }) {
  const mb = (bytes) => ((bytes ?? 0) / 1e6).toFixed(2);
  console.log(`${failures.length ? "FAIL" : "ok  "} ${name}, tracker ${tracker}: offload ${(offload * 100).toFixed(0)} %`);
  for (const page of pages) {
    console.log(`       page   http ${mb(page.http)} MB, peers ${mb(page.p2p)} MB (${mb(page.p2pFromOurs)} from ours), sent ${mb(page.uploaded)} MB (${mb(page.uploadedToOurs)} to ours), start ${page.startupMs} ms, ${page.stalls} stalls, peers ${page.peers}/${page.peersMax} (${page.peerConnects} opened, ${page.peerCloses} closed), latency ${page.latencyS ?? "-"}, errors ${JSON.stringify({ ...page.segErrors, peer: page.peerErrors || undefined })} ${[...page.errors, ...page.warnings].join("; ")}`);
  }
  for (const watch of watches) {
    console.log(`       watch  http ${mb(watch.http_bytes)} MB, peers ${mb(watch.p2p_bytes)} MB, sent ${mb(watch.uploaded_bytes)} MB, start ${Math.round(watch.startup_ms)} ms, ${watch.stalls} stalls, peers ${watch.peers_max}, latency ${watch.latency_s ?? "-"}, checked ${watch.checked} (${watch.unchecked} gone), differing ${watch.mismatched} ${watch.errors.join("; ")}`);
  }
  for (const failure of failures) console.log(`       ${failure}`);
}

function sleepUntil(time) {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time - Date.now())));
}

function fail(what) {
  console.error(`interop: ${what}`);
  process.exit(2);
}
