/** Which segment a URL, or a range of its bytes, stands for. */
import type { ByteRange, Segment, StreamType } from "../core/index.js";
import type { RequestedRange } from "./messages.js";

/** Numbers that the readers give for each segment, see `StreamNews.numbers`. */
const NUMBERS_PER_SEGMENT = 6;
const FORMS = [undefined, "part", "unfinished"] as const;
/** Directories told to the worker; with more, whole origins are told instead. */
const MAX_DIRECTORIES = 256;

/** A segment by which a request can be answered. */
export type ListedSegment = Segment & { readonly streamType: StreamType };

/** What the readers say of a stream. */
export type News = { stream: number; kind: string; urls: string; numbers: Float64Array; removed: Float64Array };

/** A stream's changes as `Core.updateStream` takes them. */
export type ListedChanges = { streamRuntimeId: string; added: ListedSegment[]; removed: string[] };

export class SegmentTable {
  private readonly byUrl = new Map<string, Set<ListedSegment>>();
  private readonly byRuntimeId = new Map<string, ListedSegment>();
  /** How many segments each directory has. */
  private readonly byDirectory = new Map<string, number>();

  /** Takes in what changed in a stream. */
  list({ stream, kind, urls, numbers, removed }: News): ListedChanges {
    const streamRuntimeId = String(stream);
    const changes: ListedChanges = { streamRuntimeId, added: [], removed: [] };
    // One resource may be listed many times, as an advertisement is: a stream's segments are told apart by their number.
    const nameOf = (id: number): string => `${streamRuntimeId}/${id}`;
    for (const id of removed) {
      this.drop(nameOf(id));
      changes.removed.push(nameOf(id));
    }
    const streamType: StreamType = kind === "secondary" ? "secondary" : "main";
    const lines = numbers.length > 0 ? urls.split("\n") : [];
    for (const [index, url] of lines.entries()) {
      const at = index * NUMBERS_PER_SEGMENT;
      const [externalId = 0, startTime = 0, endTime = 0, first = -1, last = -1, form = 0] = numbers.subarray(at, at + NUMBERS_PER_SEGMENT);
      const known = FORMS[form];
      const segment: ListedSegment = {
        runtimeId: nameOf(externalId),
        externalId,
        url,
        ...(first >= 0 && { byteRange: { start: first, end: last } }),
        startTime,
        endTime,
        ...(known && { form: known }),
        streamType,
      };
      this.drop(segment.runtimeId);
      this.add(segment);
      changes.added.push(segment);
    }
    return changes;
  }

  /**
   * The segment that answers a request for a range (or all) of a URL. `expected` says where in the timeline requests for a kind of stream would
   * go on, should there be several.
   */
  find(url: string, range: RequestedRange | undefined, expected: (type: StreamType) => number): ListedSegment | undefined {
    let best: ListedSegment | undefined;
    let bestRank = Infinity;
    for (const segment of this.byUrl.get(url) ?? []) {
      if (!answers(segment.byteRange, range)) continue;
      const isExact = !range || (segment.byteRange?.start === range.start && segment.byteRange.end === range.end);
      // Of what overlaps, a part is meant by those alone who ask for just that.
      const overlap = segment.form === "part" ? (isExact ? 0 : 2) : 1;
      const rank = overlap * 1e9 + Math.abs(segment.startTime - expected(segment.streamType));
      if (rank < bestRank) [best, bestRank] = [segment, rank];
    }
    return best;
  }

  /** URLs of the directories that have segments in them, or below. */
  directories(): string[] {
    const directories = [...this.byDirectory.keys()];
    return directories.length <= MAX_DIRECTORIES ? directories : [...new Set(directories.map(originOf))];
  }

  private add(segment: ListedSegment): void {
    this.byRuntimeId.set(segment.runtimeId, segment);
    let atUrl = this.byUrl.get(segment.url);
    if (!atUrl) this.byUrl.set(segment.url, (atUrl = new Set()));
    atUrl.add(segment);
    const directory = directoryOf(segment.url);
    this.byDirectory.set(directory, (this.byDirectory.get(directory) ?? 0) + 1);
  }

  private drop(runtimeId: string): void {
    const segment = this.byRuntimeId.get(runtimeId);
    if (!segment) return;
    this.byRuntimeId.delete(runtimeId);
    const atUrl = this.byUrl.get(segment.url);
    atUrl?.delete(segment);
    if (atUrl?.size === 0) this.byUrl.delete(segment.url);
    const directory = directoryOf(segment.url);
    const left = (this.byDirectory.get(directory) ?? 1) - 1;
    if (left > 0) this.byDirectory.set(directory, left);
    else this.byDirectory.delete(directory);
  }
}

/** True when a segment holds all of the bytes asked for, and they are not all of a larger file. */
function answers(part: ByteRange | undefined, range: RequestedRange | undefined): boolean {
  if (!part || !range) return !part && !range;
  return part.start <= range.start && range.end <= part.end;
}

function directoryOf(url: string): string {
  const path = url.split(/[?#]/, 1)[0]!;
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function originOf(directory: string): string {
  return directory.split("/", 3).join("/") + "/";
}
