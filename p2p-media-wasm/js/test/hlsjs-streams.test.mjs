// Streams and segments are registered as the official integration registers them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fixture, Hls, play, settled } from "./hlsjs-support.mjs";

const { cases } = JSON.parse(fixture("hlsjs_streams.json"));
const ODD_MASTERS = JSON.parse(fixture("hlsjs_odd_masters.json"));
const IS_CURRENT = Hls.version.startsWith("1.7");

/** The texts of a case by URL: its manifest, and the media playlists that there are. */
function textsOf({ url, file, streams }) {
  const texts = { [url]: fixture(file) };
  for (const stream of streams) {
    const name = stream.url.split("/").at(-1);
    const path = file.replace(/[^/]+$/, file.startsWith("live/") ? "first.m3u8" : name);
    if (stream.updates.length > 0) texts[stream.url] = fixture(path);
  }
  return texts;
}

const listed = (segments, base) => segments.map(({ externalId, url, startTime, endTime, byteRange }) => [
  externalId,
  url.replace(base, ""),
  Number(startTime.toFixed(3)),
  Number(endTime.toFixed(3)),
  ...(byteRange ? [[byteRange.start, byteRange.end]] : []),
]);
const rounded = (segments) => segments.map(([id, url, start, end, ...range]) => [id, url, Number(start.toFixed(3)), Number(end.toFixed(3)), ...range]);

for (const expected of cases) {
  test(`streams of ${expected.name}`, async () => {
    const wanted = expected.streams.filter((stream) => stream.updates.length > 0);
    const until = ({ core }) => wanted.every(({ url }) => core.streams.get(url)?.updates.length > 0);
    const { hls, core, errors } = await play(expected.url, textsOf(expected), { until });
    assert.equal(core.manifestUrl, expected.url);
    assert.deepEqual(
      [...core.streams.values()].map(({ runtimeId, type, index }) => [runtimeId, type, index]),
      expected.streams.map(({ url, type, id }) => [url, type, id]),
    );
    for (const { url, updates } of wanted) {
      const base = url.replace(/[^/]+$/, "");
      assert.deepEqual(listed(core.streams.get(url).updates[0].add, base), rounded(updates[0].add), url);
    }
    assert.equal(core.isLive, expected.file.startsWith("live/"));
    assert.deepEqual(errors, []);
    hls.destroy();
  });
}

// Older versions of hls.js read some of these otherwise, and so do their users' official peers.
for (const { name, playlist, streams } of IS_CURRENT ? ODD_MASTERS : []) {
  test(`streams of the odd playlist "${name}"`, async () => {
    const url = "https://a.example/d/m.m3u8";
    const { hls, core } = await play(url, { [url]: playlist }, { until: ({ core }) => core.streams.size > 0 });
    assert.deepEqual([...core.streams.values()].map(({ type, runtimeId, index }) => [type, runtimeId, index]), streams);
    hls.destroy();
  });
}

const MASTER = "http://o.example/master.m3u8";
const MEDIA = "http://o.example/v.m3u8";
const master = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.4d400c,mp4a.40.2"\nv.m3u8\n';
const media = (head, ...lines) => ["#EXTM3U", "#EXT-X-TARGETDURATION:4", ...head, ...lines, ""].join("\n");
const segment = (name, ...tags) => [...tags, "#EXTINF:4,", name].join("\n");
const numbers = (core) => [...core.streams.get(MEDIA).segments.values()].map(({ url, externalId }) => [url.split("/").at(-1), externalId]);
/** hls.js takes a refreshed playlist. */
async function refresh(hls, core, texts, text) {
  const before = core.streams.get(MEDIA).updates.length;
  texts[MEDIA] = text;
  hls.trigger(Hls.Events.LEVEL_LOADING, { id: 0, level: 0, url: MEDIA, levelInfo: hls.levels[0], deliveryDirectives: null });
  await settled(() => core.streams.get(MEDIA).updates.length > before);
}

test("a live stream keeps its numbers, and loses what left the playlist", async () => {
  const texts = { [MASTER]: master, [MEDIA]: media(["#EXT-X-MEDIA-SEQUENCE:7"], segment("7.ts"), segment("8.ts")) };
  const { hls, core } = await play(MASTER, texts, { until: ({ core }) => core.streams.get(MEDIA)?.updates.length > 0 });
  assert.deepEqual(numbers(core), [["7.ts", 7], ["8.ts", 8]]);
  await refresh(hls, core, texts, media(["#EXT-X-MEDIA-SEQUENCE:8"], segment("8.ts"), segment("9.ts")));
  assert.deepEqual(numbers(core), [["8.ts", 8], ["9.ts", 9]]);
  assert.deepEqual(core.streams.get(MEDIA).segments.get("http://o.example/9.ts").startTime, 8);
  // It ends: what comes last is numbered like what came before.
  await refresh(hls, core, texts, media(["#EXT-X-MEDIA-SEQUENCE:9"], segment("9.ts"), segment("10.ts"), "#EXT-X-ENDLIST"));
  assert.deepEqual([numbers(core), core.isLive], [[["9.ts", 9], ["10.ts", 10]], false]);
  hls.destroy();
});

test("segments without media, or without an address, keep their place and are left out", async () => {
  const text = media([], segment("a.ts"), segment("gap.ts", "#EXT-X-GAP"), segment("data:video/mp2t;base64,AA=="), segment("a.ts"), segment("b.ts"), "#EXT-X-ENDLIST");
  const { hls, core } = await play(MASTER, { [MASTER]: master, [MEDIA]: text }, { until: ({ core }) => core.streams.get(MEDIA)?.updates.length > 0 });
  assert.deepEqual(numbers(core), [["a.ts", 0], ["b.ts", 4]]);
  hls.destroy();
});

test("parts of low-latency playlists have numbers of their own", async () => {
  const head = ["#EXT-X-VERSION:9", "#EXT-X-SERVER-CONTROL:PART-HOLD-BACK=3", "#EXT-X-PART-INF:PART-TARGET=1", "#EXT-X-MEDIA-SEQUENCE:3"];
  const parts = ['#EXT-X-PART:DURATION=1,URI="5.mp4",BYTERANGE="100@0"', '#EXT-X-PART:DURATION=1,URI="5.mp4",BYTERANGE="50@100"', '#EXT-X-PART:DURATION=1,URI="x.mp4",GAP=YES'];
  const text = media(head, segment("3.mp4"), segment("4.mp4"), ...parts);
  const until = ({ core }) => core.streams.get(MEDIA)?.updates.length > 0;
  const inParts = await play(MASTER, { [MASTER]: master, [MEDIA]: text }, { until });
  const found = [...inParts.core.streams.get(MEDIA).segments.values()].filter(({ form }) => form === "part");
  assert.deepEqual(
    found.map(({ externalId, runtimeId, startTime, endTime }) => [externalId - 2 ** 52, runtimeId, startTime, endTime]),
    [[5120, "http://o.example/5.mp4|0-99", 8, 9], [5121, "http://o.example/5.mp4|100-149", 9, 10]],
  );
  inParts.hls.destroy();
  const whole = await play(MASTER, { [MASTER]: master, [MEDIA]: text }, { until, hlsConfig: { lowLatencyMode: false } });
  assert.deepEqual(numbers(whole.core), [["3.mp4", 3], ["4.mp4", 4]]);
  whole.hls.destroy();
});

test("times found in the media replace those of the playlist", async () => {
  const texts = { [MASTER]: master, [MEDIA]: media([], segment("a.ts"), segment("b.ts"), "#EXT-X-ENDLIST") };
  const { hls, core } = await play(MASTER, texts, { until: ({ core }) => core.streams.get(MEDIA)?.updates.length > 0 });
  const [level] = hls.levels;
  level.details.fragments[1].start += 1.5;
  hls.trigger(Hls.Events.LEVEL_PTS_UPDATED, { details: level.details, level, drift: 1.5, type: "video", frag: level.details.fragments[1], start: 5.5, end: 9.5 });
  const moved = core.streams.get(MEDIA).updates.at(-1);
  assert.deepEqual(moved.add.map(({ url, externalId, startTime }) => [url, externalId, startTime]), [["http://o.example/b.ts", 1, 5.5]]);
  hls.destroy();
});

test("another source begins anew, in the same engine", async () => {
  const texts = { [MASTER]: master, [MEDIA]: media([], segment("a.ts"), "#EXT-X-ENDLIST") };
  const { hls, core } = await play(MASTER, texts, { until: ({ core }) => core.streams.get(MEDIA)?.updates.length > 0 });
  assert.equal(core.destroyed, 0);
  hls.loadSource(`${MASTER}?again`);
  assert.deepEqual([core.destroyed, core.streams.size], [1, 0]);
  texts[`${MASTER}?again`] = master;
  hls.loadSource(`${MASTER}?again`);
  await settled(() => core.streams.get(MEDIA)?.updates.length > 0);
  assert.equal(core.manifestUrl, `${MASTER}?again`);
  hls.destroy();
  assert.equal(core.streams.size, 0);
});
