// What every test stands on: the origin with the sample stream, a tracker, and a server for pages and package.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startOrigin, startTracker } from "./program.mjs";
import { startStaticServer } from "./static_server.mjs";

const BROWSER_TESTS = join(dirname(fileURLToPath(import.meta.url)), "..");
export const ROOT = join(BROWSER_TESTS, "../..");
/** The program in release, and the npm package; both have been built by `cargo xtask test`. */
export const PROGRAM = process.env.P2P_MEDIA_PROGRAM ?? join(ROOT, "target/release/p2p-media");
export const PACKAGE = process.env.P2P_MEDIA_PACKAGE ?? join(ROOT, "target/npm/p2p-media");
export const MEDIA = join(ROOT, "examples/media");

/** Starts the servers; `originFlags` are those of `p2p-media serve`, `routes` further ones of the static server. */
export async function startSetting({ originFlags = [], trackerFlags = [], routes = {} } = {}) {
  const origin = await startOrigin(PROGRAM, MEDIA, { flags: originFlags });
  const tracker = await startTracker(PROGRAM, { flags: trackerFlags });
  const pages = await startStaticServer({
    "/pages/": join(BROWSER_TESTS, "pages"),
    "/modules/": join(BROWSER_TESTS, "node_modules"),
    "/p2p-media/": PACKAGE,
    "/": join(ROOT, "examples/web"),
    // The example pages ask for it; here the address says all.
    "/config.json": () => "{}",
    "/vendor/": join(ROOT, "examples/web/node_modules"),
    ...routes,
  });
  return {
    origin,
    tracker,
    pages,
    hls: `${origin.url}master.m3u8`,
    dash: `${origin.url}manifest.mpd`,
    /** The address of the tests' own player page. */
    player({ engine = "hlsjs", src = this.hls, core = {}, player = {} } = {}) {
      const query = new URLSearchParams({ engine, src, tracker: tracker.url, core: JSON.stringify(core), player: JSON.stringify(player) });
      return `${pages.url}/pages/player.html?${query}`;
    },
    async stop() {
      await Promise.allSettled([origin.stop(), tracker.stop(), pages.close()]);
    },
  };
}
