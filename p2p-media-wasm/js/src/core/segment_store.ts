/** Where the engine keeps segments: in memory, or in a store of the page's own. The engine says what is kept and what goes. */
import type { StreamEntry } from "./stream_table.js";
import type { DefinedCoreConfig, SegmentStorage, SegmentWithStream, Stream } from "./types.js";

/** Keeps the bytes of segments by the engine's name for them. */
export interface SegmentStore {
  store(stream: number, id: number, bytes: Uint8Array): Promise<void> | undefined;
  load(stream: number, id: number): Promise<Uint8Array | undefined> | Uint8Array | undefined;
  forget(stream: number, id: number): void;
  /** Most that it holds, in MiB, where it has a limit of its own. */
  readonly limit?: number | undefined;
  destroy(): void;
}

/** Keeps segments in the page's memory. */
export class MemoryStore implements SegmentStore {
  private readonly segments = new Map<string, Uint8Array>();

  store(stream: number, id: number, bytes: Uint8Array): undefined {
    this.segments.set(`${stream} ${id}`, bytes);
  }

  load(stream: number, id: number): Uint8Array | undefined {
    return this.segments.get(`${stream} ${id}`);
  }

  forget(stream: number, id: number): void {
    this.segments.delete(`${stream} ${id}`);
  }

  destroy(): void {
    this.segments.clear();
  }
}

/** What the store of the page must be told with a segment. */
export type SegmentPlace = { entry: StreamEntry<Stream>; segment: SegmentWithStream; isLive: boolean };

/** The swarm that a stream is shared in, as peers of the official library name it. */
export function swarmIdOf(entry: StreamEntry<Stream>): string {
  const { type, index } = entry.stream;
  return `v2-${entry.swarmBase}-${type}-${index}`;
}

/** A store of the page's own (`customSegmentStorageFactory`). It decides itself what goes; what is gone is fetched again. */
export class CustomStore implements SegmentStore {
  readonly limit: number | undefined;

  private constructor(
    private readonly storage: SegmentStorage,
    private readonly place: (stream: number, id: number) => SegmentPlace | undefined,
  ) {
    const { totalCapacity } = storage.getUsage();
    this.limit = totalCapacity > 0 ? totalCapacity : undefined;
  }

  /** Makes the page's store ready. Rejects when it cannot be. */
  static async open(
    config: DefinedCoreConfig,
    isLive: boolean,
    place: (stream: number, id: number) => SegmentPlace | undefined,
  ): Promise<CustomStore | undefined> {
    const storage = config.customSegmentStorageFactory?.(isLive);
    if (!storage) return undefined;
    const { mainStream, secondaryStream, ...common } = config;
    await storage.initialize(common, mainStream, secondaryStream);
    // The engine finds out by itself when it looks for a segment that is gone.
    storage.setSegmentChangeCallback(() => undefined);
    return new CustomStore(storage, place);
  }

  async store(stream: number, id: number, bytes: Uint8Array): Promise<void> {
    const place = this.place(stream, id);
    if (!place) throw new Error("the segment is not in the playlist any more");
    const { entry, segment, isLive } = place;
    const { type, index } = entry.stream;
    const data = bytes.buffer as ArrayBuffer;
    await this.storage.storeSegment(swarmIdOf(entry), index, id, data, segment.startTime, segment.endTime, type, isLive);
  }

  async load(stream: number, id: number): Promise<Uint8Array | undefined> {
    const place = this.place(stream, id);
    const data = place && (await this.storage.getSegmentData(swarmIdOf(place.entry), place.entry.stream.index, id));
    return data && new Uint8Array(data);
  }

  forget(): void {
    // It has no call for that: it drops segments when it needs the room.
  }

  requested({ entry, segment, isLive }: SegmentPlace): void {
    const { type, index } = entry.stream;
    this.storage.onSegmentRequested(swarmIdOf(entry), index, segment.externalId, segment.startTime, segment.endTime, type, isLive);
  }

  playbackUpdated(position: number, rate: number): void {
    this.storage.onPlaybackUpdated(position, rate);
  }

  destroy(): void {
    this.storage.destroy();
  }
}
