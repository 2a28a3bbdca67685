// Every example page plays beside a second viewer of the same page and has bytes from it.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openBrowser } from "../support/browsers.mjs";
import { ROOT, startSetting } from "../support/setting.mjs";

const TEST_TIMEOUT_MS = 240_000;
const SHARED_BYTES = 200_000;
/** They need the owner's licence or script. */
const NOT_ALONE = ["index.html", "jwplayer.html", "flowplayer.html"];
/** Plays no HLS without its native support. */
const DASH_ALONE = ["dashjs.html"];
/** In Firefox one for each way in which the engine is put into a page. */
const IN_FIREFOX = ["hlsjs.html", "shaka.html", "videojs.html"];

const pages = readdirSync(join(ROOT, "examples/web")).filter((name) => name.endsWith(".html") && !NOT_ALONE.includes(name));

let setting;
before(async () => (setting = await startSetting()));
after(() => setting?.stop());

for (const kind of ["chromium", "firefox"]) {
  describe(kind, () => {
    let browser;
    before(async () => (browser = await openBrowser(kind)));
    after(() => browser?.close());

    for (const name of pages.filter((name) => kind === "chromium" || IN_FIREFOX.includes(name))) {
      test(name, { timeout: TEST_TIMEOUT_MS }, async () => {
        // A swarm of its own, so that no viewer of another page gives it anything.
        const query = new URLSearchParams({ src: DASH_ALONE.includes(name) ? setting.dash : setting.hls, tracker: setting.tracker.url, swarm: `${kind} ${name}` });
        const url = `${setting.pages.url}/${name}?${query}`;
        const first = await browser.open(url);
        await plays(first);
        const second = await browser.open(url);
        const shared = { argument: SHARED_BYTES, what: "bytes from the first page" };
        await second.until((bytes) => window.p2pMediaExample?.stats.p2pBytes >= bytes, shared);
        await plays(second);
        for (const page of [first, second]) {
          const { errors } = await page.ask(() => window.p2pMediaExample.stats);
          assert.deepEqual([...errors, ...page.errors], []);
          await page.close();
        }
      });
    }
  });
}

async function plays(page) {
  const from = await page.ask(() => window.p2pMediaExample?.stats.currentTime ?? 0);
  const condition = { argument: from + 2, what: `playing from ${from} on` };
  await page.until((time) => window.p2pMediaExample?.stats.currentTime >= time, condition);
}
