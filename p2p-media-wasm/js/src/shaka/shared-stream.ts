/**
 * The segments of one stream: registered when they are requested, and around the playhead.
 *
 * Shaka makes many references only when it needs them (SegmentTimeline, templates with a duration), so an index is walked by position from
 * where playback stands, a slice at a time.
 */
import { type ByteRange, type Segment, segmentRuntimeId } from "../core/index.js";
import type { SegmentIndex, SegmentReference, Stream } from "./shaka-types.js";

/** Where the segments of a stream go: `Core.updateStream` for it. */
export type SegmentSink = (add: Segment[], remove: string[]) => void;

/** The number that peers know a segment by, `undefined` when it cannot be told. */
export type Numbering = (segment: NumberedSegment) => number | undefined;

/** What a number is made of. */
export type NumberedSegment = {
  url: string;
  byteRange: ByteRange | undefined;
  startTime: number;
  endTime: number;
  /** In the segment index. */
  position: number;
  index: SegmentIndex;
};

/** Seconds after the playhead in which segments are registered: the engine's own download windows are no longer by default. */
const AHEAD_S = 6000;
/** Seconds before the playhead in which segments are registered, for viewers that go back. */
const BEHIND_S = 120;
/** Segments registered in one go, so that the page stays smooth. */
const SLICE = 200;
/** Segments looked at in one go. */
const MOST_STEPS = 5000;
/** A segment has moved when its start differs by more, seconds. */
const MOVED_S = 0.001;
/** Segments with one number that begin at times this close are two that were rounded to it, seconds; others took its place. */
const ROUNDED_S = 0.5;
/** References of a static stream are not looked at again until the playhead is so far from where they all were registered, seconds. */
const SETTLED_S = 60;
/** `shaka.media.SegmentReference.Status.AVAILABLE`. */
const AVAILABLE = 0;

/** One stream of a manifest with the segments that are registered of it. */
export class SharedStream {
  private readonly byId = new Map<string, Segment>();
  private readonly byNumber = new Map<number, Segment>();
  /** Start times by reference, of those that have been looked at. */
  private readonly seen = new WeakMap<SegmentReference, number>();
  private settled: { index: SegmentIndex; at: number } | undefined;

  constructor(
    readonly stream: Stream,
    private readonly numbering: Numbering,
    /** True when two segments that begin at about the same time could have one number. */
    private readonly roundsNumbers: boolean,
    private readonly sink: SegmentSink,
  ) {}

  /** Registers what is new around `time`, and drops what has left a live presentation, which begins at `liveStart` seconds. */
  refresh(time: number, liveStart: number | undefined): void {
    const remove: string[] = [];
    const add: Segment[] = [];
    if (liveStart !== undefined) this.evict(liveStart, remove);
    const index = this.stream.segmentIndex;
    if (index) this.collect(index, time, liveStart !== undefined, add, remove);
    this.tell(add, remove);
  }

  /** The segment of a reference that the player asks for. Registers it if it is not, or is as another. `undefined` when it is not shared. */
  take(reference: SegmentReference): Segment | undefined {
    const index = this.stream.segmentIndex;
    const position = index?.find(reference.getStartTime());
    if (!index || typeof position !== "number") return undefined;
    const segment = this.describe(reference, index, position);
    if (!segment || this.isRounded(segment)) return undefined;
    this.seen.set(reference, segment.startTime);
    const known = this.byId.get(segment.runtimeId);
    if (known?.externalId === segment.externalId) return known;
    const remove: string[] = [];
    // A resource that is played at several times (an advertisement) has one name on the page, and is what it is played as now.
    if (known) this.drop(known, remove);
    this.replace(segment, remove);
    this.tell([segment], remove);
    return segment;
  }

  private collect(index: SegmentIndex, time: number, live: boolean, add: Segment[], remove: string[]): void {
    if (!live && this.settled?.index === index && Math.abs(this.settled.at - time) < SETTLED_S) return;
    const anchor = index.find(time);
    if (anchor === null) return;
    let steps = 0;
    for (const step of [1, -1]) {
      for (let position = step > 0 ? anchor : anchor - 1; add.length < SLICE && steps < MOST_STEPS; position += step, steps++) {
        const reference = index.get(position);
        if (!reference) break;
        const start = reference.getStartTime();
        if (start > time + AHEAD_S || start < time - BEHIND_S) break;
        if (this.seen.get(reference) !== start) this.look(reference, index, position, add, remove);
      }
    }
    this.settled = add.length < SLICE ? { index, at: time } : undefined;
  }

  private look(reference: SegmentReference, index: SegmentIndex, position: number, add: Segment[], remove: string[]): void {
    const segment = this.describe(reference, index, position);
    if (!segment) return;
    this.seen.set(reference, segment.startTime);
    // The player will not ask for what its parser has loaded.
    if (reference.getSegmentData?.(false)) return;
    const known = this.byId.get(segment.runtimeId);
    // The same resource at another time stays what it was until it is played there.
    if (known ? known.externalId !== segment.externalId || !hasMoved(known, segment) : this.isRounded(segment)) return;
    this.replace(segment, remove);
    add.push(segment);
  }

  /** True when another segment has its number: peers would mistake one for the other, so only the first is shared. */
  private isRounded({ externalId, runtimeId, startTime }: Segment): boolean {
    const known = this.byNumber.get(externalId);
    if (!this.roundsNumbers || !known || known.runtimeId === runtimeId) return false;
    const distance = Math.abs(known.startTime - startTime);
    return distance >= MOVED_S && distance < ROUNDED_S;
  }

  private describe(reference: SegmentReference, index: SegmentIndex, position: number): Segment | undefined {
    if (reference.isPartial?.() || (reference.getStatus?.() ?? AVAILABLE) !== AVAILABLE) return undefined;
    const url = reference.getUris()[0];
    const [start, end] = [reference.getStartByte(), reference.getEndByte()];
    // The length of what begins inside a resource and goes to its end is not known.
    if (url === undefined || (end === null && start > 0)) return undefined;
    const byteRange = end === null ? undefined : { start, end };
    const [startTime, endTime] = [reference.getStartTime(), reference.getEndTime()];
    const externalId = this.numbering({ url, byteRange, startTime, endTime, position, index });
    if (externalId === undefined) return undefined;
    return { runtimeId: segmentRuntimeId(url, byteRange), externalId, url, startTime, endTime, ...(byteRange && { byteRange }) };
  }

  private evict(liveStart: number, remove: string[]): void {
    for (const segment of [...this.byId.values()]) if (segment.endTime <= liveStart) this.drop(segment, remove);
  }

  /** What had its number gives way. Under a new URL (a token) it may be the same segment still; then it is not told to be gone. */
  private replace(segment: Segment, remove: string[]): void {
    const old = this.byNumber.get(segment.externalId);
    if (old && old.runtimeId !== segment.runtimeId) {
      if (hasMoved(old, segment) && pathOf(old) !== pathOf(segment)) this.drop(old, remove);
      else this.byId.delete(old.runtimeId);
    }
    this.byId.set(segment.runtimeId, segment);
    this.byNumber.set(segment.externalId, segment);
  }

  private drop({ runtimeId, externalId }: Segment, remove: string[]): void {
    this.byId.delete(runtimeId);
    if (this.byNumber.get(externalId)?.runtimeId === runtimeId) this.byNumber.delete(externalId);
    remove.push(runtimeId);
  }

  /** Removals come first: what is added may have their numbers or names. */
  private tell(add: Segment[], remove: string[]): void {
    if (remove.length) this.sink([], remove);
    if (add.length) this.sink(add, []);
  }
}

function hasMoved(from: Segment, to: Segment): boolean {
  return Math.abs(from.startTime - to.startTime) >= MOVED_S;
}

function pathOf({ url, byteRange }: Segment): string {
  return segmentRuntimeId(url.split("?", 1)[0] ?? url, byteRange);
}
