// What comes through the engine and what does not, and what hls.js hears of it.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Bypass, FakeCore, FragmentLoader, Hls, HlsJsP2PEngine, loaderOf, play, settled } from "./hlsjs-support.mjs";

const URL_A = "http://o.example/a.ts";

/** A loader with its surroundings, for a core that knows `a.ts`, whole and in ranges. */
function loader({ hlsConfig = {}, bypass = new Bypass(), ranges = [], texts = {} } = {}) {
  const core = new FakeCore();
  core.setManifestResponseUrl("http://o.example/m.m3u8");
  core.addStreamIfNoneExists({ runtimeId: "v", type: "main", index: "" }, {});
  const ids = [URL_A, ...ranges.map((range) => `${URL_A}|${range}`)];
  core.updateStream("v", ids.map((runtimeId) => ({ runtimeId })), []);
  const expected = [];
  const waiting = [];
  const Plain = loaderOf(texts, waiting);
  const plain = new Plain();
  const playback = { position: 12, expect: (start) => expected.push(start), distanceTo: (start) => start - playback.position };
  const surroundings = { core, bypass, playback };
  return { loader: new FragmentLoader(hlsConfig, plain, surroundings), core, plain, playback, waiting, expected, bypass };
}

const context = (more = {}) => ({
  url: URL_A,
  frag: { sn: 3, type: "main", start: 12, end: 16 },
  part: null,
  responseType: "arraybuffer",
  rangeStart: 0,
  rangeEnd: 0,
  ...more,
});
const CONFIG = { loadPolicy: { maxTimeToFirstByteMs: 10_000, maxLoadTimeMs: 120_000 }, highWaterMark: 100 };

/** Callbacks that note what is called. */
function listener() {
  const calls = [];
  const note = (name) => (...args) => calls.push([name, ...args]);
  return { calls, callbacks: { onSuccess: note("success"), onError: note("error"), onTimeout: note("timeout"), onAbort: note("abort"), onProgress: note("progress") } };
}

const load = (setup, more) => {
  const { calls, callbacks } = listener();
  setup.loader.load(context(more), CONFIG, callbacks);
  return calls;
};

test("a segment that the engine knows comes through it", () => {
  const setup = loader();
  const calls = load(setup);
  assert.deepEqual([setup.core.loads.map(({ id }) => id), setup.expected, setup.waiting.length], [[URL_A], [12], 0]);
  const data = new ArrayBuffer(1000);
  setup.core.loads[0].onSuccess({ data, bandwidth: 8 * 1000 });
  assert.deepEqual(calls.map(([name]) => name), ["progress", "success"]);
  assert.deepEqual(calls[1][1], { url: URL_A, data, code: 200 });
});

test("byte ranges are inclusive in the engine and exclusive in hls.js", () => {
  const setup = loader({ ranges: ["100-199"] });
  load(setup, { rangeStart: 100, rangeEnd: 200 });
  assert.deepEqual(setup.core.loads.map(({ id }) => id), [`${URL_A}|100-199`]);
  const other = loader({ ranges: ["100-199"] });
  load(other, { rangeStart: 100, rangeEnd: 201 });
  assert.deepEqual([other.core.loads.length, other.waiting.length], [0, 1]);
});

test("all else takes hls.js's own way", () => {
  const initSegment = loader();
  load(initSegment, { frag: { sn: "initSegment", start: 0, end: 0 } });
  const unknown = loader();
  load(unknown, { url: "http://o.example/unknown.ts" });
  const disabled = loader();
  disabled.core.isEnabled = false;
  load(disabled);
  for (const { core, waiting, expected } of [initSegment, unknown, disabled]) {
    assert.deepEqual([core.loads.length, waiting.length, expected.length], [0, 1, 0]);
  }
});

test("hls.js is told the speed that the engine measured, not that of its storage", () => {
  const setup = loader();
  load(setup);
  setup.core.loads[0].onSuccess({ data: new ArrayBuffer(500_000), bandwidth: 8 * 1_000_000 });
  const { loaded, total, loading } = setup.loader.stats;
  assert.deepEqual([loaded, total, Math.round(loading.end - loading.first)], [500_000, 500_000, 500]);
  assert.ok(loading.start <= loading.first && loading.first - loading.start <= 100);
});

test("hls.js sees bytes come, and the true times where nothing was measured", async () => {
  const setup = loader();
  load(setup);
  const [request] = setup.core.loads;
  await new Promise((resolve) => setTimeout(resolve, 20));
  request.onProgress(60);
  assert.equal(request.onChunk, undefined);
  const { stats } = setup.loader;
  assert.deepEqual([stats.loaded, stats.total], [60, 0]);
  assert.ok(stats.loading.first - stats.loading.start >= 15);
  const { start, first } = stats.loading;
  request.onSuccess({ data: new ArrayBuffer(100), bandwidth: 8 * 0 });
  assert.deepEqual([stats.loading.start, stats.loading.first, stats.loaded], [start, first, 100]);
});

test("progressive streaming gets the bytes in pieces of a fair size, once", () => {
  const setup = loader({ hlsConfig: { progressive: true } });
  const calls = load(setup);
  const [request] = setup.core.loads;
  for (const byte of [1, 2, 3]) request.onChunk(new Uint8Array(60).fill(byte));
  request.onSuccess({ data: new ArrayBuffer(180), bandwidth: 8 * 1000 });
  assert.deepEqual(calls.map(([name]) => name), ["progress", "progress", "success"]);
  const pieces = calls.slice(0, 2).map(([, , , data]) => [...new Uint8Array(data)]);
  assert.deepEqual(pieces.flat(), [...Array(60).fill(1), ...Array(60).fill(2), ...Array(60).fill(3)]);
});

test("what the engine cannot give, hls.js's own loader is asked for", () => {
  const setup = loader();
  const calls = load(setup);
  setup.core.loads[0].onProgress(50);
  setup.core.loads[0].onError(new Error("failed"));
  assert.equal(setup.waiting.length, 1);
  // It starts afresh: hls.js's loaders refuse to load twice.
  assert.deepEqual([setup.loader.stats.loaded, setup.loader.stats.loading.first], [0, 0]);
  setup.core.loads[0].onSuccess({ data: new ArrayBuffer(9), bandwidth: 8 * 1 });
  assert.deepEqual(calls, []);
  setup.waiting[0].callbacks.onError({ code: 404, text: "Not Found" });
  assert.deepEqual(calls, [["error", { code: 404, text: "Not Found" }]]);
});

test("a core that throws is one that failed", async () => {
  const setup = loader();
  setup.core.loadSegment = async () => {
    throw new Error("no such segment");
  };
  load(setup);
  await settled(() => setup.waiting.length === 1);
});

test("bytes that hls.js was given already are not given again", () => {
  const setup = loader({ hlsConfig: { progressive: true } });
  const calls = load(setup);
  setup.core.loads[0].onChunk(new Uint8Array(150));
  setup.core.loads[0].onError(new Error("failed"));
  assert.deepEqual([calls.map(([name]) => name), setup.waiting.length], [["progress", "error"], 0]);
});

test("an engine that gives nothing is waited for as long as an origin would be", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const setup = loader();
    load(setup);
    mock.timers.tick(9000);
    setup.core.loads[0].onProgress(1);
    mock.timers.tick(9000);
    assert.equal(setup.waiting.length, 0);
    mock.timers.tick(1000);
    assert.deepEqual([setup.core.aborted, setup.waiting.length], [[URL_A], 1]);

    // What is needed later may come later.
    const early = loader();
    early.playback.position = 1;
    load(early);
    mock.timers.tick(10_000);
    assert.equal(early.waiting.length, 0);
    early.playback.position = 2;
    mock.timers.tick(10_000);
    assert.equal(early.waiting.length, 1);
  } finally {
    mock.timers.reset();
  }
});

test("an aborted load is heard of once, and nothing after it", () => {
  const setup = loader();
  const calls = load(setup);
  setup.loader.abort();
  setup.core.loads[0].onError(new Error("aborted"));
  setup.loader.destroy();
  assert.deepEqual([calls.map(([name]) => name), setup.core.aborted], [["abort"], [URL_A]]);
  assert.deepEqual([setup.loader.stats.aborted, setup.plain.isDestroyed, setup.waiting.length], [true, true, 0]);
});

test("a destroyed load is ended in the engine", () => {
  const setup = loader();
  const calls = load(setup);
  setup.loader.destroy();
  setup.core.loads[0].onSuccess({ data: new ArrayBuffer(9), bandwidth: 8 * 1 });
  assert.deepEqual([setup.core.aborted, calls], [[URL_A], []]);
});

test("an engine that fails where hls.js does not is left alone for a while", () => {
  const bypass = new Bypass();
  for (let i = 0; i < 3; i++) {
    const setup = loader({ bypass });
    load(setup);
    setup.core.loads[0].onError(new Error("failed"));
    setup.waiting[0].callbacks.onSuccess({}, {}, {}, null);
  }
  const setup = loader({ bypass });
  load(setup);
  assert.deepEqual([setup.core.loads.length, setup.waiting.length], [0, 1]);
  assert.deepEqual([bypass.isOpen(performance.now() + 61_000), bypass.isOpen()], [false, true]);
});

const MASTER = "http://o.example/master.m3u8";
const TEXTS = {
  [MASTER]: '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.4d400c,mp4a.40.2"\nv.m3u8\n',
  "http://o.example/v.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXTINF:4,\nb.ts\n#EXT-X-ENDLIST\n",
};

test("hls.js asks the engine for its first segment, with everything known", async () => {
  let created;
  const { hls, core } = await play(MASTER, TEXTS, {
    until: ({ core }) => core.loads.length > 0,
    p2p: { core: { swarmId: "s" }, onHlsJsCreated: (hls) => (created = hls) },
  });
  assert.deepEqual([created, core.config, core.bitrate], [hls, { swarmId: "s" }, 500_000]);
  assert.equal(core.loads[0].id, URL_A);
  assert.deepEqual(core.playback, [[0, 0]]);
  assert.ok(hls.p2pEngine instanceof HlsJsP2PEngine && !("p2p" in hls.userConfig));
  hls.destroy();
  assert.deepEqual([core.destroyed, core.aborted], [1, [URL_A]]);
});

test("the class has hls.js's static members, and the page's own loaders stay in use", async () => {
  const pLoader = loaderOf(TEXTS);
  const waiting = [];
  const fLoader = loaderOf({}, waiting);
  const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
  assert.deepEqual([HlsWithP2P.version, HlsWithP2P.Events], [Hls.version, Hls.Events]);
  const { hls, core } = await play(MASTER, {}, { hlsConfig: { pLoader, fLoader }, until: ({ core }) => core.loads.length > 0 });
  core.loads[0].onError(new Error("failed"));
  assert.deepEqual(waiting.map(({ context }) => context.url), [URL_A]);
  hls.destroy();
});

test("an engine follows one instance of hls.js after the other", async () => {
  const engine = new HlsJsP2PEngine();
  const core = FakeCore.last;
  let hls;
  engine.bindHls(() => hls);
  for (let i = 0; i < 2; i++) {
    hls = new Hls({ enableWorker: false, startFragPrefetch: true, loader: loaderOf(TEXTS), ...engine.getConfigForHlsJs() });
    hls.loadSource(MASTER);
    await settled(() => core.loads.length === i + 1);
    hls.destroy();
    assert.equal(core.destroyed, i + 1);
  }
});
