/**
 * Where playback stands, inferred: the player says nothing to us, but its requests tell how far it has got on the timeline of the segments, and the
 * media element how much of that it has yet to play.
 *
 * The element's clock may be another one than that of the manifest. What is between them is learned whenever the player goes on with the next
 * segment: then what is buffered ends where that segment begins. Until it is known the segment asked for counts as needed now.
 */
import type { StreamType } from "../core/index.js";
import { bufferedAhead, playingElement } from "./media_elements.js";

/** Observations that are remembered. A segment that is not in the buffer yet makes one too large, so the smallest counts. */
const OBSERVATIONS = 5;
/** A request within this share of a segment of where the last one ended goes on from there. */
const NEXT_SHARE = 0.5;
/** A request more than this many segments away is a seek, or another viewer. */
const NEAR_SEGMENTS = 2.5;
/** Segments are taken for at least this long when nearness is judged, in seconds. */
const SHORTEST_SEGMENT_S = 1;
/** Players of other tabs that ask for nothing for this long no longer count. */
const QUIET_MS = 15_000;

/** A stretch of the timeline; seconds. */
type Stretch = { startTime: number; endTime: number };

/** Where playback stands and how fast it goes. */
export type Position = { position: number; rate: number };

/** One presentation's. */
export class Playhead {
  private last: Partial<Record<StreamType, Stretch>> = {};
  private element: HTMLMediaElement | undefined;
  /** Timeline of the segments less the element's clock. */
  private offsets: number[] = [];
  /** Players in other tabs that get their segments from here. */
  private readonly others = new Map<string, { startTime: number; at: number }>();

  constructor(private readonly findElement: () => HTMLMediaElement | undefined = playingElement) {}

  /** Notes what this page's player asks for. */
  asked(type: StreamType, segment: Stretch): void {
    const before = this.last[type];
    const duration = Math.max(segment.endTime - segment.startTime, SHORTEST_SEGMENT_S);
    const distance = before ? Math.abs(segment.startTime - before.endTime) : Infinity;
    this.follow(this.findElement());
    // Separate audio is asked for in its own rhythm; it is there for the sake of the video.
    if (type === "main" || !this.last.main) {
      if (distance > NEAR_SEGMENTS * duration) this.offsets = [];
      else if (distance < NEXT_SHARE * duration) this.observe(segment.startTime);
    }
    this.last[type] = { startTime: segment.startTime, endTime: segment.endTime };
  }

  /** Notes what a player in another tab asks for. */
  askedByOther(clientId: string, segment: Stretch): void {
    this.others.set(clientId, { startTime: segment.startTime, at: performance.now() });
  }

  /** Where a request for a kind of stream would go on. */
  expected(type: StreamType): number {
    return this.last[type]?.endTime ?? 0;
  }

  /** Where playback stands now; nothing before the first request. Of several players the foremost counts: the others find what it has left. */
  now(): Position | undefined {
    const own = this.own();
    const now = performance.now();
    let foremost = own;
    for (const [clientId, { startTime, at }] of this.others) {
      if (now - at > QUIET_MS) this.others.delete(clientId);
      else if (!foremost || startTime > foremost.position) foremost = { position: startTime, rate: 0 };
    }
    return foremost;
  }

  private own(): Position | undefined {
    const last = this.last.main ?? this.last.secondary;
    if (!last) return undefined;
    this.follow(this.findElement());
    const { element } = this;
    if (!element) return { position: last.startTime, rate: 1 };
    const moves = !element.paused && !element.seeking && element.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
    const rate = moves ? element.playbackRate : 0;
    // During a seek the element is there already, and its requests are to come.
    const position = this.offsets.length > 0 ? element.currentTime + Math.min(...this.offsets) : last.startTime;
    return { position: element.seeking ? position : Math.min(position, last.endTime), rate };
  }

  private observe(start: number): void {
    const ahead = this.element && bufferedAhead(this.element);
    if (!this.element || ahead === undefined) return;
    this.offsets.push(start - (this.element.currentTime + ahead));
    if (this.offsets.length > OBSERVATIONS) this.offsets.shift();
  }

  private follow(element: HTMLMediaElement | undefined): void {
    if (element === this.element) return;
    this.element = element;
    this.offsets = [];
  }
}
