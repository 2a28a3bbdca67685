// What the page half makes of requests: which segment they mean, where playback stands, and how the engine's own are told apart.

import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./service-worker-support.mjs";

const { SegmentTable } = await load("segment_table.ts");
const { isManifestType, looksLikeManifest, manifestName, mayBeManifest, pageHeaders, requestedRange } = await load("requests.ts");
const { markChanges, markRequests } = await load("own_requests.ts");
const { mediaTypeOf } = await load("media_type.ts");
globalThis.HTMLMediaElement = { HAVE_FUTURE_DATA: 3 };
globalThis.document = { querySelectorAll: () => [] };
const { Playhead } = await load("playhead.ts");

const URL_A = "https://o.example/v/a.mp4";
const news = (segments, { removed = [], kind = "main", stream = 0 } = {}) => ({
  stream,
  kind,
  urls: segments.map(([url]) => url).join("\n"),
  numbers: new Float64Array(segments.flatMap(([, id, start, first = -1, last = -1, form = 0]) => [id, start, start + 2, first, last, form])),
  removed: new Float64Array(removed),
});

test("whole segments and ranges are found by what is asked for", () => {
  const table = new SegmentTable();
  table.list(news([[URL_A, 0, 0, 100, 199], [URL_A, 1, 2, 200, 299], ["https://o.example/v/b.ts?x=1", 2, 4]]));
  const id = (url, start, end) => table.find(url, start === undefined ? undefined : { start, end }, () => 0)?.externalId;
  assert.deepEqual([id(URL_A, 100, 199), id(URL_A, 200, 250), id(URL_A, 150, 250), id(URL_A), id(URL_A, 0, 99)], [0, 1, undefined, undefined, undefined]);
  assert.deepEqual([id("https://o.example/v/b.ts?x=1"), id("https://o.example/v/b.ts"), id("https://o.example/v/b.ts?x=1", 0, 5)], [2, undefined, undefined]);
  assert.deepEqual(table.directories(), ["https://o.example/v/"]);
});

test("one URL that is listed twice means the segment that playback comes to", () => {
  const table = new SegmentTable();
  const changes = table.list(news([[URL_A, 0, 0], [URL_A, 7, 14]]));
  assert.equal(new Set(changes.added.map(({ runtimeId }) => runtimeId)).size, 2);
  assert.deepEqual([0, 6, 8, 14].map((expected) => table.find(URL_A, undefined, () => expected).externalId), [0, 0, 7, 7]);
});

test("segments that leave, or get another URL, are not found any more", () => {
  const table = new SegmentTable();
  table.list(news([["https://o.example/1?t=1", 1, 0], ["https://o.example/2", 2, 2]]));
  const changes = table.list(news([["https://o.example/1?t=2", 1, 0]], { removed: [2] }));
  const known = (url) => table.find(url, undefined, () => 0)?.externalId;
  assert.deepEqual(["https://o.example/1?t=1", "https://o.example/1?t=2", "https://o.example/2"].map(known), [undefined, 1, undefined]);
  assert.deepEqual([changes.added.map(({ externalId }) => externalId), changes.removed], [[1], ["0/2"]]);
  table.list(news([], { removed: [1] }));
  assert.deepEqual(table.directories(), []);
});

test("a part is meant only by who asks for it alone", () => {
  const table = new SegmentTable();
  table.list(news([[URL_A, 5, 0, 0, 999], [URL_A, 1e6, 0, 0, 99, 1]]));
  assert.equal(table.find(URL_A, { start: 0, end: 99 }, () => 0).form, "part");
  assert.equal(table.find(URL_A, { start: 0, end: 50 }, () => 0).form, undefined);
});

test("many directories become their origins", () => {
  const table = new SegmentTable();
  table.list(news(Array.from({ length: 300 }, (_, index) => [`https://o.example/${index}/s.ts`, index, index])));
  assert.deepEqual(table.directories(), ["https://o.example/"]);
});

test("manifests are known by name and type", () => {
  for (const url of ["https://o.example/a.m3u8?x=.ts", "https://o.example/a.MPD#t"]) assert.ok(looksLikeManifest(url));
  for (const url of ["https://o.example/a.ts?x=.m3u8", "https://o.example/mpd"]) assert.ok(!looksLikeManifest(url));
  assert.deepEqual(["a.m4s", "a", "a.css?x", "a.php"].map((name) => mayBeManifest(`https://o.example/${name}`)), [false, true, false, true]);
  assert.deepEqual([isManifestType("Application/X-mpegURL; charset=UTF-8"), isManifestType("text/html"), isManifestType(null)], [true, false, false]);
  const names = ["l.m3u8?_HLS_msn=3&t=1&_HLS_part=2&u#f", "l.m3u8?_HLS_msn=3", "l.m3u8#a?b", "l.m3u8?a=b?c"];
  assert.deepEqual(names.map(manifestName), ["l.m3u8?t=1&u", "l.m3u8", "l.m3u8", "l.m3u8?a=b?c"]);
});

test("only plain ranges are answered", () => {
  const rangeOf = (range) => requestedRange(new Request(URL_A, { headers: range ? { range } : {} }));
  assert.deepEqual([null, "bytes=5-9", " bytes=0-0 "].map(rangeOf), [undefined, { start: 5, end: 9 }, { start: 0, end: 0 }]);
  for (const range of ["bytes=0-", "bytes=5-", "bytes=-5", "bytes=9-5", "bytes=0-1,3-4", "lines=0-1"]) assert.equal(rangeOf(range), null);
  assert.deepEqual(pageHeaders(new Headers({ Accept: "*/*", Range: "bytes=0-1", "X-Token": "1", "Sec-Fetch-Mode": "cors" })), [["x-token", "1"]]);
});

test("the engine's requests are marked, and look as those of the player", async () => {
  const style = { headers: [["x-token", "1"]], credentials: "include" };
  const { signal } = new AbortController();
  const setup = markRequests({}, style).httpRequestSetup;
  const request = await setup(URL_A, undefined, signal, { start: 5 });
  assert.deepEqual([request.url, request.headers.get("range"), request.headers.get("x-token"), request.credentials], [`${URL_A}#p2p-media`, "bytes=5-", "1", "include"]);
  const own = async (url) => new Request(`${url}?signed#part`, { headers: { authorization: "me" } });
  const changed = markChanges({ mainStream: { httpRequestSetup: own } }, style);
  const signed = await changed.mainStream.httpRequestSetup(URL_A, undefined, signal, undefined);
  assert.deepEqual([signed.url, signed.headers.get("authorization")], [`${URL_A}?signed#p2p-media`, "me"]);
  assert.ok(!("httpRequestSetup" in changed));
});

test("segments have a type by their name", () => {
  const types = ["a.m4s?x", "a.TS", "a.b/c", "a.m4a"].map((name) => mediaTypeOf(`https://o.example/${name}`));
  assert.deepEqual(types, ["video/mp4", "video/mp2t", "application/octet-stream", "audio/mp4"]);
});

/** A media element whose clock is `behind` seconds behind the timeline, with this much buffered. */
function element(position, bufferedEnd, behind = 0) {
  const ranges = bufferedEnd > position ? [[0, bufferedEnd - behind]] : [];
  return {
    currentTime: position - behind,
    paused: false,
    seeking: false,
    readyState: 4,
    playbackRate: 1,
    buffered: { length: ranges.length, start: (i) => ranges[i][0], end: (i) => ranges[i][1] },
  };
}

const segment = (startTime) => ({ startTime, endTime: startTime + 2 });

test("until the element's clock is known the segment asked for is needed now", () => {
  const playhead = new Playhead(() => undefined);
  assert.equal(playhead.now(), undefined);
  playhead.asked("main", segment(40));
  assert.deepEqual([playhead.now(), playhead.expected("main"), playhead.expected("secondary")], [{ position: 40, rate: 1 }, 42, 0]);
});

test("what is buffered tells how far the playhead is behind the requests", () => {
  let video;
  const playhead = new Playhead(() => video);
  // The element's clock began 100 s later than the timeline. The second time the last segment is not in the buffer yet.
  video = Object.assign(element(100, 100, 100), { readyState: 0 });
  playhead.asked("main", segment(100));
  assert.deepEqual(playhead.now(), { position: 100, rate: 0 });
  for (const [start, buffered, position] of [[102, 102, 100], [104, 102, 101], [106, 106, 101.5]]) {
    Object.assign(video, element(position, buffered, 100));
    playhead.asked("main", segment(start));
  }
  Object.assign(video, element(103, 108, 100));
  assert.deepEqual(playhead.now(), { position: 103, rate: 1 });
  video.paused = true;
  assert.deepEqual(playhead.now(), { position: 103, rate: 0 });
});

test("after a seek the playhead is where the player asks", () => {
  const video = element(0, 0);
  const playhead = new Playhead(() => video);
  playhead.asked("main", segment(0));
  Object.assign(video, element(1, 2));
  playhead.asked("main", segment(2));
  assert.equal(playhead.now().position, 1);
  Object.assign(video, element(51, 0), { seeking: true });
  playhead.asked("main", segment(50));
  assert.deepEqual(playhead.now(), { position: 50, rate: 0 });
});

test("of players in several tabs the foremost counts", () => {
  const playhead = new Playhead(() => undefined);
  playhead.asked("main", segment(10));
  playhead.askedByOther("b", segment(30));
  assert.equal(playhead.now().position, 30);
  playhead.askedByOther("b", segment(4));
  assert.equal(playhead.now().position, 10);
});
