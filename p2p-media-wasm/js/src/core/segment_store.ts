/** Where the engine keeps segments: in memory, or in a store of the page's own. The engine says what is kept and what goes. */
import type { StreamEntry } from "./stream_table.js";
import type { DefinedCoreConfig, Segment, SegmentStorage, Stream } from "./types.js";

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
    private readonly entryOf: (stream: number) => StreamEntry<Stream> | undefined,
    private readonly isLive: () => boolean,
  ) {
    const { totalCapacity } = storage.getUsage();
    this.limit = totalCapacity > 0 ? totalCapacity : undefined;
  }

  /** Makes the page's store ready. Rejects when it cannot be. */
  static async open(
    config: DefinedCoreConfig,
    entryOf: (stream: number) => StreamEntry<Stream> | undefined,
    isLive: () => boolean,
  ): Promise<CustomStore | undefined> {
    const storage = config.customSegmentStorageFactory?.(isLive());
    if (!storage) return undefined;
    const { mainStream, secondaryStream, ...common } = config;
    await storage.initialize(common, mainStream, secondaryStream);
    // The engine finds out by itself when it looks for a segment that is gone.
    storage.setSegmentChangeCallback(() => undefined);
    return new CustomStore(storage, entryOf, isLive);
  }

  async store(stream: number, id: number, bytes: Uint8Array): Promise<void> {
    const entry = this.entryOf(stream);
    const segment = entry?.byId.get(id);
    if (!entry || !segment) throw new Error("the segment is not in the playlist any more");
    const { type, index } = entry.stream;
    const data = bytes.buffer as ArrayBuffer;
    await this.storage.storeSegment(swarmIdOf(entry), index, id, data, segment.startTime, segment.endTime, type, this.isLive());
  }

  async load(stream: number, id: number): Promise<Uint8Array | undefined> {
    const entry = this.entryOf(stream);
    const data = entry && (await this.storage.getSegmentData(swarmIdOf(entry), entry.stream.index, id));
    return data && new Uint8Array(data);
  }

  /** A store that has no call for that drops segments when it needs the room. */
  forget(stream: number, id: number): void {
    const entry = this.entryOf(stream);
    if (entry) this.storage.removeSegment?.(swarmIdOf(entry), entry.stream.index, id);
  }

  requested(entry: StreamEntry<Stream>, { externalId, startTime, endTime }: Segment): void {
    const { type, index } = entry.stream;
    this.storage.onSegmentRequested(swarmIdOf(entry), index, externalId, startTime, endTime, type, this.isLive());
  }

  playbackUpdated(position: number, rate: number): void {
    this.storage.onPlaybackUpdated(position, rate);
  }

  destroy(): void {
    this.storage.destroy();
  }
}
