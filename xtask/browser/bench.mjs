// `cargo xtask bench web`: what sharing costs a page. A page with our engine and one with the official one, each in a browser of its own, play the
// same film in one swarm at one time, among native viewers: pages as the other viewers would need more than the machine has, and
// everything would take long.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { openBrowser } from "./support/browsers.mjs";
import { startOrigin, startWatch } from "./support/program.mjs";
import { PROGRAM, startSetting } from "./support/setting.mjs";

const { values } = parseArgs({
  options: {
    peers: { type: "string", default: "8" },
    seconds: { type: "string", default: "60" },
    rounds: { type: "string", default: "1" },
    // Ours without the official library's page beside it: then the clock on the wall says more about tasks.
    alone: { type: "boolean", default: false },
  },
});
const [peers, seconds, rounds] = [values.peers, values.seconds, values.rounds].map(Number);
const ENGINES = { ...(!values.alone && { official: "the official library" }), hlsjs: "ours" };
const JOIN_INTERVAL_S = 2;
const LONG_TASK_MS = 50;
/** The trace categories of the tasks of a main thread, and of the page's own marks: a browser has pages of its own, too. */
const TASKS = ["toplevel", "blink.user_timing"];
const MARK = "page of the player";
/** The other viewers have machines of their own in truth: here they wait while a page has work. */
const PRIORITY_OF_OTHERS = 15;
/** Those who joined first are not at the end of the film when the last ones are. */
const filmSeconds = seconds + 2 * JOIN_INTERVAL_S * (peers + 2);

const folder = mkdtempSync(join(tmpdir(), "p2p-media-bench-"));
const media = join(folder, "media");
/** The uplink of a home: without a limit a whole film comes within seconds, and the machine stands still over it. */
const nativeConfig = join(folder, "viewer.toml");
writeFileSync(nativeConfig, 'upload_rate_limit = "1 MB"\n');
mkdirSync(media);
try {
  console.error(`Encoding ${filmSeconds} s at 4 Mbit/s`);
  encode(filmSeconds);
  const results = [];
  for (let round = 0; round < rounds; round++) {
    // Whoever joins first has the others behind: they take turns.
    const order = Object.keys(ENGINES);
    if (round % 2 === 1) order.reverse();
    console.error(`Playing for ${seconds} s`);
    results.push(await run(order));
  }
  report(results);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** A small picture, filled up to the bitrate: what decoding costs should not hide what sharing costs. */
function encode(length) {
  const source = `testsrc2=size=320x180:rate=25:duration=${length}`;
  const rate = ["-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "4M", "-x264-params", "nal-hrd=cbr:force-cfr=1"];
  const codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p"];
  const hls = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", join(media, "master.m3u8")];
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", source, ...codec, ...rate, ...hls], { stdio: "inherit" });
}

/** Plays on both pages at one time, with as many native viewers that each has so many peers; what it cost by engine. */
async function run(order) {
  const setting = await startSetting();
  const origin = await startOrigin(PROGRAM, media);
  const src = `${origin.url}master.m3u8`;
  const natives = [];
  const pages = {};
  const addNatives = async (count) => {
    for (let index = 0; index < count; index++) {
      const native = startWatch(PROGRAM, src, { tracker: setting.tracker.url, seconds: filmSeconds, flags: ["--config", nativeConfig] });
      setPriority(native.pid, PRIORITY_OF_OTHERS);
      natives.push(native);
      await delay(JOIN_INTERVAL_S * 1000);
    }
  };
  try {
    const before = Math.floor((peers - 1) / 2);
    await addNatives(before);
    for (const engine of order) {
      const browser = await openBrowser("chromium");
      const page = (pages[engine] = { browser, page: await browser.open() });
      await page.page.driver.addInitScript(watchTasks, MARK);
      await browser.driver.startTracing(page.page.driver, { categories: TASKS });
      // As the players' own build for pages without a bundler: segments are demuxed in a worker.
      const player = { workerPath: "/modules/hls.js/dist/hls.worker.js" };
      await page.page.driver.goto(setting.player({ engine, src, player }));
      await delay(JOIN_INTERVAL_S * 1000);
    }
    await addNatives(peers - 1 - before);
    await delay(seconds * 1000);
    const results = {};
    for (const [engine, { browser, page }] of Object.entries(pages)) {
      // From the beginning: who loads everything ahead at once has his work behind him.
      const cpu = await cpuSeconds(browser);
      const [frames, state] = [await page.ask(() => window.longFrames), await page.ask(() => window.viewer.state())];
      results[engine] = { cpu, frames, state, tasks: tasksOf(await browser.driver.stopTracing()) };
    }
    return results;
  } finally {
    const everybody = [...natives, ...Object.values(pages).map(({ browser }) => ({ stop: () => browser.close() })), origin, setting];
    await Promise.allSettled(everybody.map((one) => one.stop()));
  }
}

/** Runs in the page, before anything else: notes every task that is long, and whose script ran in it for how long. */
function watchTasks(mark) {
  performance.mark(mark);
  window.longFrames = [];
  new PerformanceObserver((list) => {
    for (const { duration, scripts } of list.getEntries()) {
      window.longFrames.push({ duration, scripts: scripts.map(({ sourceURL, duration }) => ({ sourceURL, duration })) });
    }
  }).observe({ type: "long-animation-frame", buffered: true });
}

/** Processor time of each task of the page's main thread, in milliseconds. */
function tasksOf(trace) {
  const { traceEvents } = JSON.parse(trace.toString());
  const threadOf = ({ pid, tid }) => `${pid} ${tid}`;
  const threads = new Set(traceEvents.filter(({ name }) => name === MARK).map(threadOf));
  if (threads.size !== 1) throw new Error(`the trace has ${threads.size} main threads of the page`);
  const tasks = traceEvents.filter((event) => event.name === "ThreadControllerImpl::RunTask" && event.tdur !== undefined && threads.has(threadOf(event)));
  return tasks.map(({ tdur }) => tdur / 1000);
}

/** Processor time that the pages of a browser have taken so far. */
async function cpuSeconds(browser) {
  const devtools = await browser.driver.newBrowserCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  await devtools.detach();
  return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

function report(results) {
  for (const round of results) {
    for (const [engine, { cpu, tasks, frames, state }] of Object.entries(round)) {
      const isEngine = (url) => url.includes(engine === "hlsjs" ? "/p2p-media/" : "p2p-media-loader");
      const seen = frames.flatMap(({ scripts }) => scripts).filter(({ sourceURL, duration }) => isEngine(sourceURL) && duration > LONG_TASK_MS);
      const { p2pBytes, httpBytes, uploadedBytes, stalls } = state;
      const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
      console.log(`${ENGINES[engine]}: ${cpu.toFixed(2)} CPU s, ${stalls} stalls`);
      console.log(`  MB: ${megabytes(httpBytes)} by HTTP, ${megabytes(p2pBytes)} from peers, ${megabytes(uploadedBytes)} to peers`);
      const longest = Math.max(0, ...tasks);
      const long = tasks.filter((time) => time > LONG_TASK_MS).length;
      console.log(`  ${tasks.length} tasks, ${long} with more than ${LONG_TASK_MS} ms of processor time (most: ${longest.toFixed(0)} ms)`);
      // By the clock on the wall, where a task also lasts while the machine does other things.
      console.log(`  seen as longer than ${LONG_TASK_MS} ms in the page: ${frames.length} frames, ${seen.length} scripts of the engine's`);
    }
  }
  if (values.alone) return;
  const cpuOf = (engine) => results.reduce((sum, round) => sum + round[engine].cpu, 0);
  console.log(`CPU time, ours to official: ${(cpuOf("hlsjs") / cpuOf("official")).toFixed(2)}`);
}
