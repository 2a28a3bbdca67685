/** The streams and segments that a player has told us of, by the names of the page and by those of the engine. */
import type { ByteRange, Segment, SegmentWithStream, Stream, StreamProperties, StreamWithSegments } from "./types.js";

/** A stream, with what the engine knows of it. */
export type StreamEntry<TStream extends Stream> = {
  readonly stream: StreamWithSegments<TStream>;
  /** What its id is made of, where the integration leaves that to us. */
  readonly properties: StreamProperties | undefined;
  /** Its segments by the number that peers know. */
  readonly byId: Map<number, SegmentWithStream<TStream>>;
  /** The engine's number for it, once it was told. */
  key: number | undefined;
  /** Swarm id without the stream's part, once the engine was told. */
  swarmBase: string;
};

/** What changed in a stream by one update. */
export type Changes = { added: Segment[]; removed: Segment[] };

/** All streams of one player. */
export class StreamTable<TStream extends Stream> {
  private readonly entries = new Map<string, StreamEntry<TStream>>();
  private readonly bySegment = new Map<string, StreamEntry<TStream>>();
  private readonly byUrl = new Map<string, Set<Segment>>();
  private readonly byKey = new Map<number, StreamEntry<TStream>>();

  get(runtimeId: string): StreamEntry<TStream> | undefined {
    return this.entries.get(runtimeId);
  }

  ofSegment(runtimeId: string): StreamEntry<TStream> | undefined {
    return this.bySegment.get(runtimeId);
  }

  ofKey(key: number): StreamEntry<TStream> | undefined {
    return this.byKey.get(key);
  }

  /** The segment that bytes of a resource, from an offset on, belong to. */
  at(url: string, first: number): Segment | undefined {
    for (const segment of this.byUrl.get(url) ?? []) {
      if (!segment.byteRange || (segment.byteRange.start <= first && first <= segment.byteRange.end)) return segment;
    }
    return undefined;
  }

  all(): Iterable<StreamEntry<TStream>> {
    return this.entries.values();
  }

  /** Adds a stream; nothing when it is there already. */
  add(stream: TStream, properties: StreamProperties | undefined): StreamEntry<TStream> | undefined {
    if (this.entries.has(stream.runtimeId)) return undefined;
    const entry = { stream: { ...stream, segments: new Map() }, properties, byId: new Map(), key: undefined, swarmBase: "" };
    this.entries.set(stream.runtimeId, entry);
    return entry;
  }

  /** Notes the engine's number for a stream. */
  setKey(entry: StreamEntry<TStream>, key: number): void {
    entry.key = key;
    this.byKey.set(key, entry);
  }

  /** Takes in segments that came or changed, and those that went. */
  update(entry: StreamEntry<TStream>, add: Iterable<Segment>, remove: Iterable<string>): Changes {
    const changes: Changes = { added: [], removed: [] };
    const { segments } = entry.stream;
    for (const runtimeId of remove) {
      const segment = segments.get(runtimeId);
      if (!segment) continue;
      this.drop(entry, segment);
      changes.removed.push(segment);
    }
    for (const segment of add) {
      const old = segments.get(segment.runtimeId);
      if (old && isSame(old, segment)) continue;
      // The same place may come under another number, and the same number from another place.
      if (old && old.externalId !== segment.externalId) changes.removed.push(old);
      if (old) this.drop(entry, old);
      const replaced = entry.byId.get(segment.externalId);
      if (replaced) this.drop(entry, replaced);
      const known: SegmentWithStream<TStream> = { ...segment, stream: entry.stream };
      segments.set(segment.runtimeId, known);
      entry.byId.set(segment.externalId, known);
      this.bySegment.set(segment.runtimeId, entry);
      let atUrl = this.byUrl.get(segment.url);
      if (!atUrl) this.byUrl.set(segment.url, (atUrl = new Set()));
      atUrl.add(known);
      changes.added.push(segment);
    }
    return changes;
  }

  clear(): void {
    this.entries.clear();
    this.bySegment.clear();
    this.byUrl.clear();
    this.byKey.clear();
  }

  private drop(entry: StreamEntry<TStream>, segment: SegmentWithStream<TStream>): void {
    entry.stream.segments.delete(segment.runtimeId);
    if (entry.byId.get(segment.externalId) === segment) entry.byId.delete(segment.externalId);
    if (this.bySegment.get(segment.runtimeId) === entry) this.bySegment.delete(segment.runtimeId);
    const atUrl = this.byUrl.get(segment.url);
    atUrl?.delete(segment);
    if (atUrl?.size === 0) this.byUrl.delete(segment.url);
  }
}

function isSame(a: Segment, b: Segment): boolean {
  return (
    a.externalId === b.externalId &&
    a.startTime === b.startTime &&
    a.endTime === b.endTime &&
    a.url === b.url &&
    a.form === b.form &&
    isSameRange(a.byteRange, b.byteRange)
  );
}

function isSameRange(a: ByteRange | undefined, b: ByteRange | undefined): boolean {
  return a?.start === b?.start && a?.end === b?.end;
}
