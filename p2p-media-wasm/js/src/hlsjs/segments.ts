/** The segments of a media playlist as the engine knows them, and what a refresh of the playlist changes in them. */
import type { Fragment, LevelDetails, Part } from "hls.js";
import { type Segment, segmentRuntimeId } from "../core/index.js";
import { byteRangeOf } from "./byte-range.js";

/** Parts have numbers far above those of segments, see the documentation of the peer protocol's extension. */
const FIRST_PART_ID = 2 ** 52;
const PARTS_PER_SEGMENT = 1024;
/** hls.js moves times a little whenever it has parsed a segment; less than this makes no difference to anyone. Seconds. */
const SMALLEST_SHIFT_S = 0.05;

/** How segments are numbered, and which there are. */
export type SegmentRules = {
  /** By media sequence number; else by place in the playlist. */
  readonly isSequenced: boolean;
  /** The parts of low-latency playlists are segments too. */
  readonly hasParts: boolean;
};

/** What a playlist has that differs from the known segments, and the ids of those that it no longer has. */
export function addedAndChanged(
  details: LevelDetails,
  known: ReadonlyMap<string, Segment>,
  rules: SegmentRules,
): { changed: Segment[]; gone: string[] } {
  const changed: Segment[] = [];
  const gone = new Set(known.keys());
  const seen = new Set<string>();
  for (const segment of listedSegments(details, rules)) {
    // The same resource may be played several times, a slate for example: it is known by its first place.
    if (seen.has(segment.runtimeId)) continue;
    seen.add(segment.runtimeId);
    gone.delete(segment.runtimeId);
    const before = known.get(segment.runtimeId);
    // Its number stays: peers were told of it.
    if (!before) changed.push(segment);
    else if (hasMoved(before, segment)) changed.push({ ...segment, externalId: before.externalId });
  }
  return { changed, gone: [...gone] };
}

function* listedSegments(details: LevelDetails, rules: SegmentRules): Generator<Segment> {
  for (const [index, fragment] of details.fragments.entries()) {
    // A flag of the fragment would not do: hls.js sets it for segments that failed, too.
    if (!isShareable(fragment.url) || fragment.tagList.some(([tag]) => tag === "GAP")) continue;
    yield toSegment(fragment, rules.isSequenced ? (fragment.sn as number) : index);
  }
  for (const part of (rules.hasParts && details.partList) || []) {
    const sequence = part.fragment.sn as number;
    if (!isShareable(part.url) || part.gap || part.index >= PARTS_PER_SEGMENT) continue;
    yield { ...toSegment(part, FIRST_PART_ID + PARTS_PER_SEGMENT * sequence + part.index), form: "part" };
  }
}

function toSegment(source: Fragment | Part, externalId: number): Segment {
  const byteRange = byteRangeOf(source.byteRange[0], source.byteRange[1]);
  const { url } = source;
  return {
    runtimeId: segmentRuntimeId(url, byteRange),
    externalId,
    url,
    startTime: source.start,
    endTime: source.end,
    ...(byteRange && { byteRange }),
  };
}

function hasMoved(before: Segment, now: Segment): boolean {
  return Math.abs(before.startTime - now.startTime) > SMALLEST_SHIFT_S || Math.abs(before.endTime - now.endTime) > SMALLEST_SHIFT_S;
}

/** Not data: or blob: URLs, which have nothing to share. */
function isShareable(url: string): boolean {
  return /^https?:/i.test(url);
}
