// Two pages of each kind of player share a stream, in Chromium and in Firefox.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { openBrowser } from "../support/browsers.mjs";
import { startSetting } from "../support/setting.mjs";
import { playsOn, segmentFaults } from "../support/viewers.mjs";

const TEST_TIMEOUT_MS = 180_000;
/** What the second viewer must have had from the first before it counts as sharing: more than one segment. */
const SHARED_BYTES = 300_000;

let setting;
before(async () => (setting = await startSetting()));
after(() => setting?.stop());

for (const kind of ["chromium", "firefox"]) {
  describe(kind, () => {
    let browser;
    before(async () => (browser = await openBrowser(kind)));
    after(() => browser?.close());

    const cases = {
      "hls.js": { engine: "hlsjs" },
      "Shaka, HLS": { engine: "shaka" },
      "Shaka, DASH": { engine: "shaka", format: "dash" },
    };
    for (const [name, { engine, format = "hls" }] of Object.entries(cases)) {
      test(`${name}: the second viewer has its segments from the first`, { timeout: TEST_TIMEOUT_MS }, async () => {
        const url = setting.player({ engine, src: setting[format] });
        const first = await browser.open(url);
        await playsOn(first);
        const second = await browser.open(url);
        await playsOn(second);
        await second.until((bytes) => viewer.state().p2pBytes >= bytes, { argument: SHARED_BYTES, what: "bytes from the first viewer" });
        await playsOn(first);
        await playsOn(second);
        for (const page of [first, second]) {
          const state = await page.ask(() => viewer.state());
          assert.deepEqual(state.errors, []);
          assert.deepEqual(page.errors, []);
          assert.deepEqual(segmentFaults(state), []);
        }
        assert.ok((await first.ask(() => viewer.state())).uploadedBytes >= SHARED_BYTES);
        await Promise.all([first.close(), second.close()]);
      });
    }
  });
}
