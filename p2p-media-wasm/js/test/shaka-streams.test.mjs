// Streams have the ids that the official integration gives them, and segments are registered around the playhead under the ids of all viewers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { streamId } from "./hlsjs-support.mjs";
import { describeStreams, FakeCore, LazyIndex, manifest, MediaSequences, reference, Session, SharedStream, stream } from "./shaka-support.mjs";

const CASES = JSON.parse(readFileSync(new URL("shaka-streams.json", import.meta.url), "utf8"));

for (const { name, protocol, variants, streams } of CASES) {
  test(`stream ids of ${name}`, () => {
    const raw = new Map(streams.map(({ raw }) => [raw.id, raw]));
    const given = variants.map(({ bandwidth, video, audio }) => ({ bandwidth, video: raw.get(video) ?? null, audio: raw.get(audio) ?? null }));
    const described = describeStreams(given, protocol).map(({ stream, type, properties }) => [stream.id, type, streamId(properties)]);
    const expected = streams.map(({ type, id, raw }) => [raw.id, type, id]);
    const byNumber = (a, b) => a[0] - b[0];
    assert.deepEqual(described.sort(byNumber), expected.sort(byNumber));
  });
}

test("of equal DASH streams all but the first have a number; copies in HLS have not", () => {
  const video = (id, more) => ({ bandwidth: 1000, video: stream(id, null, { width: 640, height: 360, ...more }), audio: null });
  const variants = [video(1), video(2), video(3, { codecs: "AVC1.4d400d" }), video(4, { width: 1280 })];
  const names = (protocol) => describeStreams(variants, protocol).map(({ properties }) => properties.name);
  assert.deepEqual(names("dash"), [undefined, "#2", "#3", undefined]);
  assert.deepEqual(names("hls"), [undefined, undefined, undefined, undefined]);
  const audio = (id, language) => ({ bandwidth: 1000, video: variants[0].video, audio: stream(id, null, { label: "Main", language }) });
  const dubbed = describeStreams([audio(5, "en-US"), audio(6, "en-GB"), audio(7, "fr")], "dash");
  assert.deepEqual(dubbed.slice(1).map(({ properties }) => properties.name), ["Main", "Main#2", "Main"]);
});

test("what Shaka has found in HLS segments does not count", () => {
  const video = stream(1, null, { width: 640, height: 360, frameRate: 25 });
  const given = [{ bandwidth: 1000, video, audio: null }];
  const listed = (text) => {
    const [{ properties }] = describeStreams(given, "hls", text);
    return [properties.bitrate, properties.width, properties.height, properties.frameRate];
  };
  assert.deepEqual(listed("#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=640x360"), [1000, 640, 360, undefined]);
  assert.deepEqual(listed("#EXT-X-STREAM-INF:BANDWIDTH=1000,FRAME-RATE=25"), [1000, undefined, undefined, 25]);
});

/** A stream whose segments have their positions as numbers, and what is registered of it. */
function shared(index) {
  const registered = new Map();
  const calls = [];
  const sink = (add, remove) => {
    calls.push([add.length, remove.length]);
    for (const id of remove) assert.ok(registered.delete(id), id);
    for (const segment of add) {
      for (const old of registered.values()) if (old.externalId === segment.externalId) registered.delete(old.runtimeId);
      registered.set(segment.runtimeId, segment);
    }
  };
  const ids = () => [...registered.values()].map(({ externalId }) => externalId).sort((a, b) => a - b);
  return { stream: new SharedStream(stream(1, index), ({ position }) => position, false, sink), registered, calls, ids };
}

test("a long index is walked from the playhead on, a slice at a time", () => {
  const index = new LazyIndex(5000, 2);
  const { stream, calls, ids } = shared(index);
  stream.refresh(4000, undefined);
  assert.deepEqual(calls, [[200, 0]]);
  assert.deepEqual([ids()[0], ids().at(-1)], [2000, 2199]);
  for (let i = 0; i < 30; i++) stream.refresh(4000, undefined);
  // 6000 seconds ahead and 120 behind.
  assert.deepEqual([ids()[0], ids().at(-1), ids().length], [1940, 4999, 3060]);
  const { made } = index;
  stream.refresh(4010, undefined);
  assert.equal(index.made, made);
  stream.refresh(1000, undefined);
  assert.equal(ids().length, 3260);
});

test("a live stream loses what has left its window and gains what has come", () => {
  const index = new LazyIndex(10, 2);
  const { stream, ids, registered } = shared(index);
  stream.refresh(10, 0);
  assert.deepEqual(ids(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  Object.assign(index, { count: 12, evicted: 2 });
  stream.refresh(12, 4);
  assert.deepEqual(ids(), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  // The player has left the stream: only the window moves on.
  stream.stream.segmentIndex = null;
  stream.refresh(12, 8.5);
  assert.deepEqual(ids(), [4, 5, 6, 7, 8, 9, 10, 11]);
  assert.equal(registered.size, 8);
});

test("segments move, and get new URLs, under the numbers that they have", () => {
  const references = [reference(0, 2, "https://o.example/a?1"), reference(2, 4, "https://o.example/b?1")];
  const index = { find: () => 0, get: (position) => references[position] ?? null };
  const { stream, registered, ids } = shared(index);
  stream.refresh(0, 0);
  references[0] = reference(0.25, 2.25, "https://o.example/a?1");
  references[1] = reference(2, 4, "https://o.example/b?2");
  stream.refresh(0, 0);
  assert.deepEqual([...registered].map(([id, { startTime, endTime }]) => [id, startTime, endTime]), [
    ["https://o.example/a?1", 0.25, 2.25],
    ["https://o.example/b?2", 2, 4],
  ]);
  assert.deepEqual(ids(), [0, 1]);
});

test("a resource that is played at several times is what it is played as now", () => {
  const index = new LazyIndex(4, 2, (position) => `https://o.example/${position % 3}.m4s`);
  const { stream, ids } = shared(index);
  stream.refresh(0, undefined);
  // The fourth has the URL of the first, which was registered first.
  assert.deepEqual(ids(), [0, 1, 2]);
  assert.equal(stream.take(index.get(3)).externalId, 3);
  assert.deepEqual(ids(), [1, 2, 3]);
});

test("after a restart of the server other segments have the old numbers", () => {
  const { stream, registered, calls } = shared(new LazyIndex(2, 2));
  stream.refresh(0, 0);
  stream.stream.segmentIndex = new LazyIndex(2, 2, (position) => `https://o.example/again/${position}.m4s`);
  const { get } = stream.stream.segmentIndex;
  stream.stream.segmentIndex.get = function (position) {
    const old = get.call(this, position);
    return old && { ...old, getStartTime: () => old.getStartTime() + 100, getEndTime: () => old.getEndTime() + 100 };
  };
  stream.refresh(0, 0);
  assert.deepEqual(calls, [
    [2, 0],
    [0, 2],
    [2, 0],
  ]);
  assert.deepEqual([...registered.keys()], ["https://o.example/again/0.m4s", "https://o.example/again/1.m4s"]);
});

test("what cannot be shared is not registered", () => {
  const references = [
    reference(0, 2, "https://o.example/partial", { partial: true }),
    reference(2, 4, "https://o.example/missing", { status: 2 }),
    reference(4, 6, "https://o.example/open", { range: [100, null] }),
    reference(6, 8, []),
    reference(8, 10, "https://o.example/loaded", { data: new ArrayBuffer(1) }),
    reference(10, 12, "https://o.example/f", { range: [100, 199] }),
  ];
  const index = { find: (time) => Math.floor(time / 2), get: (position) => references[position] ?? null };
  const { stream, registered } = shared(index);
  stream.refresh(0, undefined);
  assert.deepEqual([...registered.values()].map(({ runtimeId, byteRange }) => [runtimeId, byteRange]), [
    ["https://o.example/f|100-199", { start: 100, end: 199 }],
  ]);
  assert.equal(stream.take(references[2]), undefined);
});

test("ids of DASH count half seconds, and milliseconds where segments are shorter", () => {
  const references = [
    reference(0, 2, "https://o.example/0"),
    reference(2, 4, "https://o.example/1"),
    reference(4, 4.3, "https://o.example/2"),
  ];
  const index = { find: (time) => references.findLastIndex((item) => item.getStartTime() <= time), get: (at) => references[at] ?? null };
  const session = new Session("dash", "https://o.example/m.mpd");
  const core = new FakeCore();
  const media = stream(1, index);
  session.open(manifest([{ bandwidth: 1, video: media, audio: null }]));
  session.attach(core);
  session.refresh(0);
  // The last one is cut where its period ends.
  assert.deepEqual([...core.streams.get("1").segments.values()].map(({ externalId }) => externalId), [0, 4, 8]);
  references.splice(0, 3, ...[0, 1, 2].map((i) => reference(i * 0.2, i * 0.2 + 0.2, `https://o.example/s${i}`)));
  const short = [0, 1, 2].map((i) => session.take(media, references[i]).externalId - 2 ** 48);
  assert.deepEqual(short, [0, 200, 400]);
});

test("media sequence numbers are read from live playlists, by URL and range", () => {
  const sequences = new MediaSequences();
  const url = "https://o.example/live/v.m3u8?x";
  sequences.read("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n", "https://o.example/live/master.m3u8");
  assert.equal(sequences.isLive, false);
  const ranges = "#EXT-X-BYTERANGE:10@5\n#EXTINF:2,\nr.mp4\n#EXT-X-BYTERANGE:20\n#EXTINF:2,\nr.mp4\n";
  sequences.read(`#EXTM3U\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n#EXTINF:2,\r\na b.ts\r\n#EXTINF:2,\r\n../c.ts\r\n${ranges}`, url);
  assert.equal(sequences.isLive, true);
  const numbers = [
    ["https://o.example/live/a b.ts"],
    ["https://o.example/c.ts"],
    ["https://o.example/live/r.mp4", { start: 5, end: 14 }],
    ["https://o.example/live/r.mp4", { start: 15, end: 34 }],
    ["https://o.example/live/r.mp4", { start: 6, end: 14 }],
  ];
  assert.deepEqual(numbers.map(([url, range]) => sequences.numberOf(url, range)), [7, 8, 9, 10, undefined]);
  sequences.read("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:8\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:2,\nd.ts\n#EXT-X-ENDLIST\n", url);
  assert.equal(sequences.numberOf("https://o.example/live/d.ts"), 11);
  assert.equal(sequences.isLive, true);
  const ended = new MediaSequences();
  ended.read("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:8\n#EXTINF:2,\nd.ts\n#EXT-X-ENDLIST\n", url);
  assert.deepEqual([ended.isLive, ended.numberOf("https://o.example/live/d.ts")], [false, undefined]);
});
