// What comes through the engine and what does not, for several players and presentations.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { FakeCore, FakeShaka, LazyIndex, manifest, PlayerRequests, ShakaP2PEngine, stream } from "./shaka-support.mjs";

const MPD = "https://o.example/m.mpd";
const text = ({ data }) => new TextDecoder().decode(data);
const bytes = (content) => new TextEncoder().encode(content).buffer;
const segmentUrl = (position) => `https://o.example/${position}.m4s`;

const engines = new Set();
// What still waits for an engine ends with it.
afterEach(() => {
  for (const engine of engines) engine.destroy();
  engines.clear();
});

/** A bound player with a presentation of ten segments, which has been opened. */
async function opened({ resources = {}, more = {}, url = MPD } = {}) {
  const video = stream(1, new LazyIndex(10, 2));
  const shaka = new FakeShaka({ [url]: "<MPD/>", ...Object.fromEntries([...Array(10).keys()].map((i) => [segmentUrl(i), `http ${i}`])), ...resources });
  ShakaP2PEngine.registerPlugins(shaka);
  const player = shaka.player(manifest([{ bandwidth: 7, video, audio: null }], more));
  const engine = new ShakaP2PEngine(undefined, shaka);
  engines.add(engine);
  engine.bindShakaPlayer(player);
  await player.load(url);
  return { shaka, player, engine, video, core: FakeCore.last };
}

test("segments come through the engine, and tell how fast it is", async () => {
  const { player, video, core, shaka } = await opened({ resources: { [MPD]: { text: "<MPD/>", to: "https://cdn.example/m.mpd" } } });
  const loading = player.segment(video, 3);
  assert.equal(core.manifestUrl, "https://cdn.example/m.mpd");
  assert.deepEqual([core.isLive, core.bitrate, core.streams.get("1").segments.size], [false, 5, 10]);
  assert.deepEqual(core.playback[0], [6, 0]);
  assert.equal(core.loads[0].id, segmentUrl(3));
  core.loads[0].onSuccess({ data: bytes("p2p 3"), bandwidth: 8 * 50 });
  const response = await loading.promise;
  assert.deepEqual([text(response), response.timeMs, response.uri], ["p2p 3", 100, segmentUrl(3)]);
  assert.deepEqual(shaka.requested, [[MPD, "GET"]]);
});

test("init segments, HEAD requests, other ranges and streams that are not shared are none of the engine's business", async () => {
  const { player, video, core } = await opened();
  const other = stream(9, new LazyIndex(3, 2));
  const answers = await Promise.all([
    player.segment(video, 1, { context: { type: 0 } }).promise,
    player.segment(video, 1, { more: { method: "HEAD" } }).promise,
    player.segment(video, 1, { more: { headers: { Range: "bytes=0-99" } } }).promise,
    player.segment(other, 1).promise,
    player.request(1, { uris: [segmentUrl(1)], method: "GET", headers: {} }).promise,
  ]);
  assert.deepEqual(answers.map(text), ["http 1", "http 1", "http 1", "http 1", "http 1"]);
  core.isEnabled = false;
  assert.equal(text(await player.segment(video, 4).promise), "http 4");
  assert.equal(core.loads.length, 0);
});

test("what the engine fails to load comes from Shaka's own plugin", async () => {
  const { player, video, core } = await opened();
  const loading = player.segment(video, 2);
  core.loads[0].onError({ type: "failed" });
  assert.equal(text(await loading.promise), "http 2");
  core.loadSegment = async () => {
    throw new Error("no manifest URL");
  };
  assert.equal(text(await player.segment(video, 3).promise), "http 3");
});

test("bytes that the player has taken are not given to it twice", async () => {
  const { player, video, core } = await opened();
  let taken = "";
  const streamDataCallback = async (data) => void (taken += text({ data }));
  const loading = player.segment(video, 2, { more: { streamDataCallback } });
  core.loads[0].onChunk(new TextEncoder().encode("htt"));
  core.loads[0].onError({ type: "failed" });
  await loading.promise;
  assert.equal(taken, "http 2");
});

test("an abort reaches the engine, and the player hears of it", async () => {
  const { player, video, core, shaka } = await opened();
  const loading = player.segment(video, 2);
  await loading.abort();
  await assert.rejects(loading.promise, { code: shaka.util.Error.Code.OPERATION_ABORTED });
  assert.deepEqual(core.aborted, [segmentUrl(2)]);
  // What comes after it changes nothing.
  core.loads[0].onError({ type: "aborted" });
  assert.equal(shaka.requested.length, 1);
});

test("playback is followed", async () => {
  const { player, video, core } = await opened();
  player.segment(video, 0);
  Object.assign(player.media, { readyState: 4, currentTime: 3, paused: false, playbackRate: 2 });
  player.media.dispatchEvent(new Event("timeupdate"));
  Object.assign(player.media, { paused: true });
  player.media.dispatchEvent(new Event("pause"));
  assert.deepEqual(core.playback.slice(-2), [
    [3, 2],
    [3, 0],
  ]);
});

test("a player without an engine beside one with", async () => {
  const { shaka, player, video, core } = await opened();
  const plain = shaka.player(manifest([{ bandwidth: 7, video: stream(1, new LazyIndex(10, 2)), audio: null }]));
  await plain.load(MPD);
  assert.equal(text(await plain.segment(plain.networking.manifest.variants[0].video, 1).promise), "http 1");
  assert.equal(core.loads.length, 0);
  player.segment(video, 1);
  assert.equal(core.loads.length, 1);
});

test("a player that is let go plays on, what it waits for included", async () => {
  const { player, video, core, engine } = await opened();
  const loading = player.segment(video, 1);
  engine.destroy();
  assert.equal(text(await loading.promise), "http 1");
  assert.equal(text(await player.segment(video, 2).promise), "http 2");
  assert.deepEqual([core.loads.length, core.destroyed > 0, player.requestFilters.size], [1, true, 0]);
  await player.load(MPD);
  assert.equal(core.manifestUrl, undefined);
});

test("a presentation that is opened in advance waits until it is played", async () => {
  const files = { "https://o.example/next.mpd": "<MPD/>", "https://o.example/n0.m4s": "http n0", "https://o.example/n1.m4s": "http n1" };
  const { player, video, core } = await opened({ resources: files });
  const left = player.segment(video, 1);
  const next = stream(1, new LazyIndex(2, 2, (position) => `https://o.example/n${position}.m4s`));
  player.networking.manifest = manifest([{ bandwidth: 7, video: next, audio: null }]);
  await player.preload("https://o.example/next.mpd");
  assert.equal(text(await player.segment(next, 0, { context: { isPreload: true } }).promise), "http n0");
  assert.equal(core.manifestUrl, MPD);
  player.dispatchEvent(new Event("unloading"));
  player.dispatchEvent(new Event("loading"));
  assert.equal(text(await left.promise), "http 1");
  player.segment(next, 1);
  assert.equal(core.manifestUrl, "https://o.example/next.mpd");
  assert.deepEqual([...core.streams.get("1").segments.keys()], ["https://o.example/n1.m4s", "https://o.example/n0.m4s"]);
});

test("live HLS has media sequence numbers", async () => {
  const url = "https://o.example/v.m3u8";
  const playlist = `#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:1000\n${[0, 1, 2].map((i) => `#EXTINF:2,\n${i}.m4s\n`).join("")}`;
  const { player, video, shaka } = await opened({ resources: { [url]: playlist }, more: { live: true } });
  const core = FakeCore.last;
  player.dispatchEvent(new Event("unloading"));
  await player.load(url, "application/x-mpegurl");
  player.segment(video, 1);
  assert.deepEqual([core.isLive, core.loads.length], [true, 1]);
  assert.deepEqual([...core.streams.get("1").segments.values()].map(({ externalId }) => externalId).sort(), [1000, 1001, 1002]);
  assert.ok(shaka.parsers.has("application/vnd.apple.mpegurl"));
});

test("the player's configuration is changed only where the page has not set it", async () => {
  const { shaka, player } = await opened();
  assert.deepEqual(player.configured, {
    "manifest.defaultPresentationDelay": 25,
    "manifest.dash.ignoreSuggestedPresentationDelay": true,
    "streaming.preferNativeHls": false,
  });
  const own = shaka.player(manifest([]));
  own.getConfiguration = () => ({ manifest: { defaultPresentationDelay: 8 }, streaming: {} });
  new ShakaP2PEngine({}, shaka).bindShakaPlayer(own);
  assert.deepEqual(own.configured, {});
});

test("Shaka's plugins come back when ours are taken out", async () => {
  const { shaka, player, video, core } = await opened();
  ShakaP2PEngine.unregisterPlugins(shaka);
  assert.deepEqual([[...shaka.schemes.keys()], shaka.parsers.has("application/dash+xml")], [["http", "https"], true]);
  assert.equal(text(await player.segment(video, 1).promise), "http 1");
  assert.equal(core.loads.length, 0);
  assert.throws(() => new ShakaP2PEngine(), /shaka/i);
});

test("Shaka is told that the engine is at work, before it loses patience", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const clock = context.mock.method(performance, "now", () => now);
  let now = 0;
  const { player, video, core, shaka } = await opened();
  const progress = [];
  const more = { retryParameters: { connectionTimeout: 10_000, stallTimeout: 5000 } };
  const loading = player.segment(video, 5, { more, progress: (...report) => progress.push(report) });
  for (let i = 0; i < 6; i++) context.mock.timers.tick(((now += 1000), 1000));
  assert.ok(progress.length >= 2 && progress.every(([timeMs, count]) => timeMs === 0 && count === 0));
  core.loads[0].onSuccess({ data: bytes("12345"), bandwidth: 8 * 5 });
  await loading.promise;
  assert.deepEqual(progress.at(-1), [1000, 5, 0]);
  // Nothing comes, and the player stands still.
  const silent = player.segment(video, 6);
  for (let i = 0; i < 8; i++) context.mock.timers.tick(((now += 1000), 1000));
  assert.equal(text(await silent.promise), "http 6");
  assert.deepEqual([core.aborted, shaka.requested.length], [[segmentUrl(6)], 2]);
  clock.mock.restore();
});

test("the engine's requests look like the player's", async () => {
  const requests = new PlayerRequests();
  const signal = AbortSignal.timeout(1000);
  const setup = (url, range) => requests.setup(url, undefined, signal, range);
  assert.equal(await setup("https://o.example/a/1.m4s"), undefined);
  const plain = { headers: { Range: "bytes=0-9", "CMCD-Request": "x" } };
  requests.observe("https://o.example/a/1.m4s?s=1", "https://o.example/a/1.m4s?s=1&CMCD=x", plain);
  assert.equal((await setup("https://o.example/a/1.m4s?s=1")).url, "https://o.example/a/1.m4s?s=1&CMCD=x");
  assert.equal(await setup("https://o.example/a/2.m4s?s=2"), undefined);
  const own = { headers: { Authorization: "secret" }, allowCrossSiteCredentials: true };
  requests.observe("https://o.example/a/1.m4s", "https://cdn.example/x/a/1.m4s?token=t", own);
  const next = await setup("https://o.example/a/b/2.m4s?s=2", { start: 5 });
  assert.deepEqual([next.url, next.credentials], ["https://cdn.example/x/a/b/2.m4s?s=2&token=t", "include"]);
  assert.deepEqual([...next.headers], [["authorization", "secret"], ["range", "bytes=5-"]]);
  assert.equal(await setup("https://other.example/3.m4s"), undefined);
});

test("the page's own way to make requests is kept, and ours is not shown as the page's", async () => {
  const { engine, core, shaka } = await opened();
  assert.equal(typeof core.config.httpRequestSetup, "function");
  core.getConfig = () => ({ mainStream: { ...core.config }, secondaryStream: {} });
  assert.deepEqual(engine.getConfig(), { core: { mainStream: {}, secondaryStream: {} } });
  const httpRequestSetup = async () => undefined;
  new ShakaP2PEngine({ core: { httpRequestSetup } }, shaka);
  assert.equal(FakeCore.last.config.httpRequestSetup, httpRequestSetup);
});
