// `cargo xtask bench web`: what sharing costs a page. Eight viewers of 4 Mbit/s, with our engine and with the official one, one after the other.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openBrowser } from "./support/browsers.mjs";
import { startOrigin } from "./support/program.mjs";
import { PROGRAM, startSetting } from "./support/setting.mjs";

const { values } = parseArgs({
  options: {
    viewers: { type: "string", default: "8" },
    seconds: { type: "string", default: "60" },
    stagger: { type: "string", default: "3" },
    rounds: { type: "string", default: "1" },
  },
});
const [viewers, seconds, stagger, rounds] = [values.viewers, values.seconds, values.stagger, values.rounds].map(Number);
const LONG_TASK_MS = 50;

const media = mkdtempSync(join(tmpdir(), "p2p-media-bench-"));
const results = { official: [], hlsjs: [] };
try {
  console.error(`Encoding ${seconds + viewers * stagger} s at 4 Mbit/s`);
  encode(seconds + viewers * stagger);
  for (let round = 0; round < rounds; round++) {
    for (const engine of ["official", "hlsjs"]) {
      console.error(`${viewers} viewers, ${seconds} s: ${engine === "official" ? "the official library" : "ours"}`);
      results[engine].push(await run(engine));
    }
  }
  report();
} finally {
  rmSync(media, { recursive: true, force: true });
}

/** A small picture, filled up to the bitrate: what decoding costs should not hide what sharing costs. */
function encode(length) {
  const source = `testsrc2=size=320x180:rate=25:duration=${length}`;
  const rate = ["-b:v", "4M", "-minrate", "4M", "-maxrate", "4M", "-bufsize", "4M", "-x264-params", "nal-hrd=cbr:force-cfr=1"];
  const codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p"];
  const hls = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod", join(media, "master.m3u8")];
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", source, ...codec, ...rate, ...hls], { stdio: "inherit" });
}

/** Plays with one engine; what it cost over all pages. */
async function run(engine) {
  const setting = await startSetting();
  const origin = await startOrigin(PROGRAM, media);
  const browser = await openBrowser("chromium");
  try {
    const pages = [];
    for (let viewer = 0; viewer < viewers; viewer++) {
      if (viewer > 0) await sleep(stagger);
      const page = await browser.open();
      await page.driver.addInitScript(watchTasks);
      await page.driver.goto(setting.player({ engine, src: `${origin.url}master.m3u8` }));
      pages.push(page);
    }
    const before = await cpuSeconds(browser);
    await sleep(seconds);
    const cpu = (await cpuSeconds(browser)) - before;
    const tasks = await Promise.all(pages.map((page) => page.ask(() => window.longTasks)));
    const states = await Promise.all(pages.map((page) => page.ask(() => window.viewer.state())));
    return { cpu, tasks: tasks.flat(), states };
  } finally {
    await Promise.allSettled([browser.close(), origin.stop(), setting.stop()]);
  }
}

/** Runs in the page, before anything else: notes every task that is long, and whose script ran in it for how long. */
function watchTasks() {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration, scripts } of list.getEntries()) {
      window.longTasks.push({ duration, scripts: scripts.map(({ sourceURL, duration }) => ({ sourceURL, duration })) });
    }
  }).observe({ type: "long-animation-frame", buffered: true });
}

/** Processor time that the pages have taken so far. */
async function cpuSeconds(browser) {
  const devtools = await browser.driver.newBrowserCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  await devtools.detach();
  return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

function report() {
  for (const [engine, runs] of Object.entries(results)) {
    const ours = engine === "hlsjs";
    const isEngine = (url) => (ours ? url.includes("/p2p-media/") : url.includes("p2p-media-loader"));
    for (const { cpu, tasks, states } of runs) {
      const long = tasks.flatMap(({ scripts }) => scripts).filter(({ sourceURL, duration }) => isEngine(sourceURL) && duration > LONG_TASK_MS);
      const sum = (field) => states.reduce((sum, state) => sum + state[field], 0);
      const share = sum("p2pBytes") / (sum("p2pBytes") + sum("httpBytes"));
      console.log(
        `${(ours ? "ours" : "official").padEnd(9)} ${cpu.toFixed(2)} CPU s in all pages, ${long.length} tasks over ${LONG_TASK_MS} ms of the engine's ` +
          `(longest ${Math.max(0, ...long.map(({ duration }) => duration)).toFixed(0)} ms), ${tasks.length} long frames in all, ${(100 * share).toFixed(1)} % from peers`,
      );
    }
  }
  const cpuOf = (engine) => results[engine].reduce((sum, { cpu }) => sum + cpu, 0);
  console.log(`CPU time, ours to official: ${(cpuOf("hlsjs") / cpuOf("official")).toFixed(2)}`);
}

function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
