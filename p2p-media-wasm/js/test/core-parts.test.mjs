// The parts of the core that do without the engine: options, the table of streams, the meter of bandwidth.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { coreModule } from "./core-support.mjs";

const config = await coreModule("config.ts");
const { StreamTable } = await coreModule("stream_table.ts");
const { BandwidthMeter } = await coreModule("bandwidth.ts");
const official = JSON.parse(readFileSync(new URL("../../../p2p-media-core/tests/fixtures/defaults.json", import.meta.url), "utf8"));

const defined = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== "<undefined>"));

test("our defaults are the official ones, but for the client's name", () => {
  const { trackerClientVersionPrefix, ...ours } = defined(config.DEFAULT_STREAM_CONFIG);
  const { trackerClientVersionPrefix: theirs, ...expected } = defined(official.DEFAULT_STREAM_CONFIG);
  assert.deepEqual(ours, expected);
  assert.ok(trackerClientVersionPrefix.startsWith("-PR") && theirs.startsWith("-PM"));
});

test("options of a stream go before those for both, and unknown ones are let be", () => {
  const defined = config.defineConfig({ p2pErrorRetries: 5, ofLaterVersions: 1, swarmId: "s", secondaryStream: { p2pErrorRetries: 7, swarmId: undefined } });
  assert.deepEqual([defined.mainStream.p2pErrorRetries, defined.secondaryStream.p2pErrorRetries], [5, 7]);
  assert.deepEqual([defined.mainStream.swarmId, defined.secondaryStream.swarmId, "ofLaterVersions" in defined.mainStream], ["s", "s", false]);
  const validate = async () => true;
  const changed = config.changeConfig(defined, { validateP2PSegment: validate, mainStream: { p2pErrorRetries: 1 }, p2pErrorRetries: undefined });
  assert.deepEqual([changed.mainStream.p2pErrorRetries, changed.secondaryStream.p2pErrorRetries], [1, 7]);
  assert.equal(changed.secondaryStream.validateP2PSegment, validate);
  assert.equal(config.changeConfig(changed, { validateP2PSegment: undefined }).mainStream.validateP2PSegment, undefined);
});

test("memory limits by class of device", () => {
  const limit = config.defaultMemoryLimit;
  assert.equal(limit("Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0", 0), 4096);
  assert.equal(limit("Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile", 5), 2048);
  assert.equal(limit("Mozilla/5.0 (Linux; Android 14; wv) Version/4.0 Chrome/130.0 Mobile", 5), 1024);
  assert.equal(limit("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)", 5), 1024);
  assert.equal(limit("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari", 5), 1024);
  assert.equal(limit("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari", 0), 4096);
});

test("the table of streams says what changed, and finds segments by every name", () => {
  const table = new StreamTable();
  const entry = table.add({ runtimeId: "v", type: "main", index: "" }, {});
  assert.equal(table.add({ runtimeId: "v", type: "main", index: "" }), undefined);
  const segment = (id, start, extra = {}) => ({ runtimeId: `u${id}`, externalId: id, url: `u${id}`, startTime: start, endTime: start + 2, ...extra });
  assert.equal(table.update(entry, [segment(1, 0), segment(2, 2)], []).added.length, 2);
  assert.deepEqual(table.update(entry, [segment(1, 0)], ["u9"]), { added: [], removed: [] });
  assert.deepEqual(table.update(entry, [segment(1, 0.5)], []).added.map(({ startTime }) => startTime), [0.5]);
  // The same number from another place: a token that was renewed.
  table.update(entry, [{ ...segment(2, 2), runtimeId: "w", url: "w" }], []);
  assert.deepEqual([table.ofSegment("u2"), table.ofSegment("w"), entry.byId.get(2).url], [undefined, entry, "w"]);
  table.update(entry, [segment(3, 4, { url: "all", runtimeId: "all|0-9", byteRange: { start: 0, end: 9 } })], []);
  assert.deepEqual([table.at("all", 9)?.externalId, table.at("all", 10)], [3, undefined]);
  assert.deepEqual(table.update(entry, [], ["u1"]).removed.map(({ externalId }) => externalId), [1]);
  assert.equal(table.ofSegment("u1"), undefined);
});

test("pauses between segments are no lack of bandwidth", (context) => {
  let now = 0;
  context.mock.method(performance, "now", () => now);
  const meter = new BandwidthMeter();
  assert.equal(meter.rate(), 0);
  for (let second = 0; second < 40; second += 10) {
    now = second * 1000;
    meter.start(`${second}`, second % 20 === 0);
    now += 1000;
    meter.add(second % 20 === 0 ? 500_000 : 100_000, second % 20 === 0);
    meter.end(`${second}`);
  }
  // Peers give 100 kB/s, the origin 500: the player may count on the origin.
  assert.equal(Math.round(meter.rate() / 1000), 500);
});
