// The engine knows where playback stands, also before anything is there to be played.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeCore, Playback } from "./hlsjs-support.mjs";

/** A media element as far as it matters. */
class Media extends EventTarget {
  HAVE_FUTURE_DATA = 3;
  currentTime = 0;
  playbackRate = 1;
  paused = false;
  readyState = 0;
  ranges = [];

  get buffered() {
    const { ranges } = this;
    return { length: ranges.length, start: (i) => ranges[i][0], end: (i) => ranges[i][1] };
  }

  fire(name, changes = {}) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event(name));
  }
}

function setup() {
  const core = new FakeCore();
  const media = new Media();
  const playback = new Playback(core);
  return { core, media, playback, last: () => core.playback.at(-1) };
}

test("playback that moves, waits, pauses and seeks", () => {
  const { media, playback, last } = setup();
  playback.follow(media);
  media.fire("playing", { currentTime: 3, readyState: 4, ranges: [[0, 10]] });
  assert.deepEqual(last(), [3, 1]);
  media.fire("ratechange", { playbackRate: 2 });
  assert.deepEqual(last(), [3, 2]);
  media.fire("waiting", { currentTime: 10, readyState: 2 });
  assert.deepEqual(last(), [10, 0]);
  media.fire("pause", { readyState: 4, paused: true });
  assert.deepEqual(last(), [10, 0]);
  media.fire("seeking", { currentTime: 70 });
  assert.deepEqual(last(), [70, 0]);
});

test("a live stream begins where hls.js loads, not where the element stands", () => {
  const { media, playback, last } = setup();
  playback.expect(100);
  assert.deepEqual(last(), [100, 0]);
  playback.follow(media);
  media.fire("waiting");
  // Audio begins a little earlier, and video is loaded ahead before any audio is there.
  playback.expect(98);
  playback.expect(104);
  assert.deepEqual([last(), playback.distanceTo(104)], [[98, 0], 6]);
  media.fire("seeking", { currentTime: 101, readyState: 4, ranges: [[100, 104]] });
  assert.deepEqual(last(), [101, 1]);
  playback.expect(108);
  assert.deepEqual([last(), playback.distanceTo(108)], [[101, 1], 7]);
});

test("playback goes on in another element where hls.js loads", () => {
  const { media, playback, last } = setup();
  playback.follow(media);
  media.fire("playing", { currentTime: 3, readyState: 4, ranges: [[0, 10]] });
  const other = new Media();
  playback.follow(null);
  playback.follow(other);
  playback.expect(4);
  assert.deepEqual(last(), [4, 0]);
});

test("a seek to where nothing is buffered counts at once", () => {
  const { media, playback, last } = setup();
  playback.follow(media);
  media.fire("playing", { currentTime: 3, readyState: 4, ranges: [[0, 10]] });
  media.fire("seeking", { currentTime: 50, readyState: 1 });
  assert.deepEqual(last(), [50, 0]);
  playback.expect(48);
  assert.deepEqual(last(), [50, 0]);
});

test("an element that is followed no longer is not heard", () => {
  const { core, media, playback } = setup();
  playback.follow(media);
  playback.follow(null);
  media.fire("timeupdate", { currentTime: 5 });
  assert.deepEqual(core.playback, []);
});
