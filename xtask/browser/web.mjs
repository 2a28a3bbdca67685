// `cargo xtask web`: the example pages with the package, the players they use, streams from the project's own origin, and a tracker.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startOrigin, startTracker } from "./support/program.mjs";
import { startStaticServer } from "./support/static_server.mjs";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");

const { values: options } = parseArgs({
  options: {
    program: { type: "string" },
    package: { type: "string" },
    media: { type: "string", default: join(ROOT, "examples/media") },
    port: { type: "string", default: "8080" },
    host: { type: "string", default: "127.0.0.1" },
    // For a demo that has an origin and a tracker of its own.
    "pages-only": { type: "boolean", default: false },
  },
});

const pages = join(ROOT, "examples/web");
const routes = { "/": pages, "/p2p-media/": options.package, "/vendor/": join(pages, "node_modules") };
const stopping = [];
// Ctrl-C reaches the children too; they get the time to leave.
let isStopping = false;
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => void stop(0));
// A demo that ends takes its pages with it.
if (options["pages-only"]) process.stdin.on("end", () => void stop(0)).resume();

try {
  if (!options["pages-only"]) await serveStreams();
  const server = await startStaticServer(routes, { port: Number(options.port), host: options.host });
  stopping.push(() => server.close());
  if (!options["pages-only"]) {
    console.log(`Pages: ${server.url}/\nCtrl-C ends all of it.`);
  }
} catch (error) {
  console.error(error.code === "EADDRINUSE" ? `port ${options.port} is in use: give another one with --port` : error);
  await stop(1);
}

/** The sample as it is, live, and live with low latency; each in HLS and DASH. */
async function serveStreams() {
  const kinds = [
    { path: "/media/", name: "sample", flags: [] },
    { path: "/live/", name: "live", live: true, flags: ["--live"] },
    { path: "/low-latency/", name: "low latency", live: true, flags: ["--live", "--low-latency"] },
  ];
  const streams = [];
  for (const { path, name, live, flags } of kinds) {
    const origin = await startOrigin(options.program, options.media, { flags });
    stopping.push(() => origin.stop());
    routes[path] = origin.url;
    for (const [format, manifest] of [["HLS", "master.m3u8"], ["DASH", "manifest.mpd"]]) {
      if (existsSync(join(options.media, manifest))) streams.push({ name: `${format}, ${name}`, url: path + manifest, live });
    }
  }
  const tracker = await startTracker(options.program, { listen: `${options.host}:0` });
  stopping.push(() => tracker.stop());
  console.log(`Tracker: ${tracker.url}`);
  const { port } = new URL(tracker.url);
  // A phone in the same network reaches the tracker where it reaches the pages.
  routes["/config.json"] = ({ headers }) => {
    const { hostname } = new URL(`http://${headers.host}`);
    return JSON.stringify({ streams, tracker: `ws://${hostname}:${port}` });
  };
}

async function stop(code) {
  if (isStopping) return;
  isStopping = true;
  await Promise.allSettled(stopping.map((stop) => stop()));
  process.exit(code);
}
