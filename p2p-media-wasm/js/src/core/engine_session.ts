/** One running engine: what the page tells it, and what it gives back. */
import type { Engine } from "../../generated/engine.js";
import type { BandwidthMeter } from "./bandwidth.js";
import { defaultMemoryLimit, engineOptions } from "./config.js";
import { type EngineModule, generateStreamShortId, loadEngine } from "./engine.js";
import type { EventListeners } from "./event_listeners.js";
import { EngineHost } from "./host.js";
import type { FetchedSegment } from "./plain_loader.js";
import { CustomStore, MemoryStore, type SegmentStore } from "./segment_store.js";
import type { Changes, StreamEntry, StreamTable } from "./stream_table.js";
import type { CoreEventMap, CoreStats, DefinedCoreConfig, LoadProgress, Segment, Stream } from "./types.js";

/** What the engine knows as the form of a segment. */
const FORMS = { whole: 0, unfinished: 1, part: 2 } as const;

/** What an engine shares with the `Core` that it works for. */
export type Surroundings<TStream extends Stream> = {
  streams: StreamTable<TStream>;
  listeners: EventListeners<CoreEventMap>;
  bandwidth: BandwidthMeter;
  config: () => DefinedCoreConfig;
  isLive: () => boolean;
  manifestUrl: () => string;
};

/** A running engine. */
export class EngineSession<TStream extends Stream> {
  /** True once the engine has failed in a way that should not be: from then on it is not asked any more. */
  isBroken = false;

  private constructor(
    private readonly module: EngineModule,
    private readonly engine: Engine,
    private readonly store: SegmentStore,
    private readonly surroundings: Surroundings<TStream>,
  ) {}

  /** Starts an engine. Rejects when its module cannot be loaded or an option is wrong. */
  static async open<TStream extends Stream>(surroundings: Surroundings<TStream>): Promise<EngineSession<TStream>> {
    const { streams, listeners, bandwidth, config, isLive } = surroundings;
    const module = await loadEngine();
    const store = (await CustomStore.open(config(), (stream) => streams.ofKey(stream), isLive)) ?? new MemoryStore();
    const host = new EngineHost(streams, listeners, bandwidth, store, config);
    const engine = new module.Engine(engineOptions(config(), limitOf(store, config())), config().mainStream.rtcConfig, host);
    return new EngineSession(module, engine, store, surroundings);
  }

  /** The engine's number for a stream, of which it is told when it is first played: a manifest may list dozens. */
  addStream(entry: StreamEntry<TStream>): number | undefined {
    if (entry.key !== undefined) return entry.key;
    const { config, manifestUrl, streams } = this.surroundings;
    const { mainStream, secondaryStream } = config();
    const isSecondary = entry.stream.type === "secondary";
    const streamId = entry.properties ? generateStreamShortId(entry.properties) : entry.stream.index;
    // The table's own object, which the caller reads too.
    Object.assign(entry.stream, { index: streamId });
    entry.swarmBase = (isSecondary ? secondaryStream : mainStream).swarmId ?? manifestUrl();
    const key = this.attempt(() => this.engine.addStream(isSecondary, entry.swarmBase, streamId));
    if (key === undefined) return undefined;
    streams.setKey(entry, key);
    this.updateStream(entry, { added: [...entry.stream.segments.values()], removed: [] });
    return key;
  }

  /** Tells the engine what changed in a stream that it knows. */
  updateStream(entry: StreamEntry<TStream>, { added, removed }: Changes): void {
    const { key } = entry;
    if (key === undefined) return;
    this.attempt(() => {
      const changes = new this.module.SegmentChanges(this.surroundings.isLive());
      for (const segment of removed) changes.remove(segment.externalId);
      for (const { externalId, url, byteRange, startTime, endTime, form } of added) {
        changes.add(externalId, url, byteRange?.start, byteRange?.end, startTime, endTime - startTime, FORMS[form ?? "whole"]);
      }
      this.engine.updateStream(key, changes);
    });
  }

  setPlayhead(position: number, rate: number): void {
    this.attempt(() => this.engine.setPlayhead(position, rate));
    if (this.store instanceof CustomStore) this.store.playbackUpdated(position, rate);
  }

  /** All bytes of a segment. Rejects when they will not come, or `signal` aborts. */
  async load(entry: StreamEntry<TStream>, segment: Segment, signal: AbortSignal, { onProgress, onChunk }: LoadProgress): Promise<ArrayBuffer> {
    const key = this.addStream(entry);
    if (this.store instanceof CustomStore) this.store.requested(entry, segment);
    const request = key === undefined ? undefined : this.attempt(() => this.engine.requestSegment(key, segment.externalId));
    if (!request) throw new Error("the engine is broken");
    const cancel = (): void => request.cancel();
    signal.addEventListener("abort", cancel);
    try {
      const bytes = await request.whole(onProgress, onChunk);
      return bytes.buffer as ArrayBuffer;
    } catch (error) {
      this.note(error);
      throw error;
    } finally {
      signal.removeEventListener("abort", cancel);
      request.free();
    }
  }

  /** Takes over a segment that came without the engine, to share it. */
  takeFetched(entry: StreamEntry<TStream>, segment: Segment, { data, responseMs, bodyMs }: FetchedSegment): void {
    const key = this.addStream(entry);
    if (key === undefined) return;
    if (this.store instanceof CustomStore) this.store.requested(entry, segment);
    this.attempt(() => this.engine.takeFetched(key, segment.externalId, new Uint8Array(data), responseMs, bodyMs));
  }

  /** Follows the configuration. */
  applyConfig(): void {
    const config = this.surroundings.config();
    this.attempt(() => this.engine.applyOptions(engineOptions(config, limitOf(this.store, config))));
  }

  async stats(): Promise<CoreStats> {
    return (await this.engine.stats()) as CoreStats;
  }

  /** Leaves the swarms. */
  async end(): Promise<void> {
    try {
      await this.engine.shutdown();
      this.engine.free();
    } catch (error) {
      this.note(error);
    } finally {
      this.store.destroy();
    }
  }

  private attempt<T>(call: () => T): T | undefined {
    if (this.isBroken) return undefined;
    try {
      return call();
    } catch (error) {
      this.note(error);
      console.warn("p2p-media:", error);
      return undefined;
    }
  }

  private note(error: unknown): void {
    // A trap: nothing that happens in the module after it can be relied on.
    if (error instanceof WebAssembly.RuntimeError) this.isBroken = true;
  }
}

/** Most that is held, in MiB. */
function limitOf(store: SegmentStore, config: DefinedCoreConfig): number {
  return store.limit ?? config.segmentMemoryStorageLimit ?? defaultMemoryLimit();
}
