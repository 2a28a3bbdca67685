/** `Core`: the engine as integrations with players use it. Works from the first call, though the engine's module may still be loading. */
import { BandwidthMeter } from "./bandwidth.js";
import { Beginning } from "./beginning.js";
import {
  changeConfig,
  DEFAULT_COMMON_CORE_CONFIG,
  DEFAULT_STREAM_CONFIG,
  defineConfig,
  isMetered,
  networkInformation,
  saysWhetherToUpload,
} from "./config.js";
import { loadEngine } from "./engine.js";
import { EngineSession } from "./engine_session.js";
import { EventListeners } from "./event_listeners.js";
import { nextTask } from "./next_task.js";
import { type FetchedSegment, fetchSegment, loadPlainly } from "./plain_loader.js";
import { type StreamEntry, StreamTable } from "./stream_table.js";
import {
  type CommonCoreConfig,
  type CoreConfig,
  type CoreEventMap,
  CoreRequestError,
  type CoreStats,
  type DefinedCoreConfig,
  type DynamicCoreConfig,
  type EngineCallbacks,
  type LoadProgress,
  type Segment,
  type Stream,
  type StreamConfig,
  type StreamProperties,
  type StreamType,
  type StreamWithSegments,
} from "./types.js";

/** A segment that the player waits for. */
type Load = { readonly abort: AbortController; ended: boolean };

/** The engine of one player. */
export class Core<TStream extends Stream = Stream> {
  static readonly DEFAULT_COMMON_CORE_CONFIG: CommonCoreConfig = DEFAULT_COMMON_CORE_CONFIG;
  static readonly DEFAULT_STREAM_CONFIG: StreamConfig = DEFAULT_STREAM_CONFIG;

  private readonly listeners = new EventListeners<CoreEventMap>();
  private readonly streams = new StreamTable<TStream>();
  private readonly loads = new Map<string, Set<Load>>();
  private bandwidth = new BandwidthMeter();
  private config: DefinedCoreConfig;
  private uploadIsChosen: boolean;
  private manifestUrl: string | undefined;
  private isLive = false;
  /** Counts the calls of `destroy`. */
  private generation = 0;
  private playback: { position: number; rate: number } | undefined;
  /** The running engine, or one that is being started; nothing where there is none to be had. */
  private session: Promise<EngineSession<TStream> | undefined> | undefined;
  /** The same, once it runs. */
  private running: EngineSession<TStream> | undefined;
  private beginning = new Beginning();
  /** Where the first segment wanted of each kind of stream begins, in seconds. */
  private readonly begun = new Map<StreamType, number>();
  /** The last segment of each kind that came before the engine ran, for it to share. */
  private readonly fetched = new Map<StreamType, { segmentRuntimeId: string; fetched: FetchedSegment }>();

  constructor(config: CoreConfig = {}) {
    this.config = defineConfig(config);
    this.uploadIsChosen = saysWhetherToUpload(config);
  }

  /** Resolves when the engine's module is loaded; rejects when it cannot be, and segments then come from the origin alone. */
  static async ready(): Promise<void> {
    await loadEngine();
  }

  /** All options with their values, as a copy. */
  getConfig(): DefinedCoreConfig {
    const { mainStream, secondaryStream, ...common } = this.config;
    return { ...common, mainStream: { ...mainStream }, secondaryStream: { ...secondaryStream } };
  }

  /** Changes options while running. */
  applyDynamicConfig(dynamicConfig: DynamicCoreConfig): void {
    this.uploadIsChosen ||= saysWhetherToUpload(dynamicConfig);
    this.setConfig(changeConfig(this.config, dynamicConfig));
  }

  addEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.listeners.add(eventName, listener);
  }

  removeEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.listeners.remove(eventName, listener);
  }

  /** The manifest's URL, after redirects: it names the swarm, without its query. */
  setManifestResponseUrl(url: string): void {
    this.manifestUrl = url.split("?", 1)[0];
  }

  /** True when a stream lists this segment. */
  hasSegment(segmentRuntimeId: string): boolean {
    return this.streams.ofSegment(segmentRuntimeId) !== undefined;
  }

  getStream(streamRuntimeId: string): StreamWithSegments<TStream> | undefined {
    return this.streams.get(streamRuntimeId)?.stream;
  }

  /** Adds a stream, unless it is there. With `properties`, `index` is left empty and made of them. */
  addStreamIfNoneExists(stream: TStream, properties?: StreamProperties): void {
    this.streams.add(stream, properties);
  }

  /** Adds segments to a stream, with new times where they are there already, and takes others away. Unknown streams are ignored. */
  updateStream(streamRuntimeId: string, addSegments: Iterable<Segment> = [], removeSegmentIds: Iterable<string> = []): void {
    const entry = this.streams.get(streamRuntimeId);
    if (!entry) return;
    const changes = this.streams.update(entry, addSegments, removeSegmentIds);
    if (changes.added.length > 0 || changes.removed.length > 0) this.running?.updateStream(entry, changes);
  }

  /**
   * Loads a segment and calls one of the callbacks when that is done. Rejects when there is no such segment, or no manifest URL was set.
   */
  async loadSegment(segmentRuntimeId: string, callbacks: EngineCallbacks): Promise<void> {
    const entry = this.streams.ofSegment(segmentRuntimeId);
    const segment = entry?.stream.segments.get(segmentRuntimeId);
    if (!entry || !segment) throw new Error(`p2p-media: no stream has the segment ${segmentRuntimeId}`);
    if (this.manifestUrl === undefined) throw new Error("p2p-media: the manifest's URL is not set");

    const load: Load = { abort: new AbortController(), ended: false };
    let loads = this.loads.get(segmentRuntimeId);
    if (!loads) this.loads.set(segmentRuntimeId, (loads = new Set()));
    loads.add(load);
    const end = (): boolean => {
      const isFirst = !load.ended;
      load.ended = true;
      loads.delete(load);
      if (loads.size === 0 && this.loads.get(segmentRuntimeId) === loads) this.loads.delete(segmentRuntimeId);
      return isFirst;
    };
    load.abort.signal.addEventListener("abort", () => {
      if (end()) callbacks.onError(new CoreRequestError("aborted"));
    });

    const began = performance.now();
    let data: ArrayBuffer;
    try {
      data = await this.bytesOf(segment, load.abort.signal, callbacks);
    } catch {
      if (end()) callbacks.onError(new CoreRequestError("failed"));
      return;
    }
    const elapsed = Math.max(performance.now() - began, 1) / 1000;
    if (end()) callbacks.onSuccess({ data, bandwidth: 8 * (this.bandwidth.rate() || data.byteLength / elapsed) });
  }

  abortSegmentLoading(segmentRuntimeId: string): void {
    for (const load of this.loads.get(segmentRuntimeId) ?? []) load.abort.abort();
  }

  /** Says where playback stands, in seconds on the timeline of the segments, and how fast it goes; 0 is paused. */
  updatePlayback(position: number, rate: number): void {
    this.playback = { position, rate };
    this.running?.setPlayhead(position, rate);
  }

  /** Taken for the sake of the official API: the engine measures for itself what the level needs. */
  setActiveLevelBitrate(_bitrate: number): void {}

  /** Says whether more segments are to come. */
  setIsLive(isLive: boolean): void {
    if (this.isLive === isLive) return;
    this.isLive = isLive;
    for (const entry of this.streams.all()) this.running?.updateStream(entry, { added: [], removed: [] });
  }

  /** True when the engine should be asked for this segment: a stream lists it, and its kind of stream is shared. */
  isSegmentLoadable(segmentRuntimeId: string): boolean {
    const entry = this.streams.ofSegment(segmentRuntimeId);
    return entry !== undefined && !this.streamConfig(entry.stream).isP2PDisabled;
  }

  /** Figures since the engine began; nothing while none runs. */
  async getStats(): Promise<CoreStats | undefined> {
    return (await this.session)?.stats();
  }

  /** Leaves the swarms and forgets streams and segments. The object may be used anew. */
  destroy(): void {
    for (const loads of [...this.loads.values()]) for (const load of [...loads]) load.abort.abort();
    const { session } = this;
    this.generation += 1;
    this.session = this.running = this.manifestUrl = this.playback = undefined;
    this.beginning.end();
    this.beginning = new Beginning();
    this.begun.clear();
    this.fetched.clear();
    this.isLive = false;
    this.bandwidth = new BandwidthMeter();
    this.streams.clear();
    networkInformation()?.removeEventListener?.("change", this.connectionChanged);
    void session?.then((session) => session?.end());
  }

  private async bytesOf(segment: Segment, signal: AbortSignal, progress: LoadProgress): Promise<ArrayBuffer> {
    const first = await this.firstBytesOf(segment, signal);
    if (first) return passOn(first, progress);
    const session = await this.start();
    signal.throwIfAborted();
    const entry = this.streams.ofSegment(segment.runtimeId);
    if (session && entry && !session.isBroken) {
      try {
        return await session.load(entry, segment, signal, progress);
      } catch (error) {
        if (signal.aborted || !session.isBroken) throw error;
      }
    }
    return passOn(await loadPlainly(entry ? this.streamConfig(entry.stream) : this.config.mainStream, segment, signal), progress);
  }

  /**
   * The first segment of a presentation, from the origin at once: nobody could give it sooner, and the page has enough to do until it plays. So
   * also where the player wants it again, of another quality perhaps. Nothing when it is not the first, or does not come; then the engine is
   * asked, which knows more sources.
   */
  private async firstBytesOf(segment: Segment, signal: AbortSignal): Promise<ArrayBuffer | undefined> {
    const { generation, beginning } = this;
    const entry = this.streams.ofSegment(segment.runtimeId);
    if (!entry || this.running || segment.startTime > (this.begun.get(entry.stream.type) ?? Infinity)) return undefined;
    this.begun.set(entry.stream.type, segment.startTime);
    beginning.wanted();
    void this.start();
    try {
      const fetched = await fetchSegment(this.streamConfig(entry.stream), segment, signal);
      if (generation === this.generation) {
        // Players may take their buffer away.
        this.share(entry, segment.runtimeId, { ...fetched, data: fetched.data.slice(0) });
        beginning.given();
      }
      return fetched.data;
    } catch (error) {
      beginning.end();
      if (signal.aborted) throw error;
      return undefined;
    }
  }

  /** Gives the engine a segment that came without it, as soon as it runs. */
  private share(entry: StreamEntry<TStream>, segmentRuntimeId: string, fetched: FetchedSegment): void {
    const segment = entry.stream.segments.get(segmentRuntimeId);
    if (!this.running) this.fetched.set(entry.stream.type, { segmentRuntimeId, fetched });
    else if (segment) this.running.takeFetched(entry, segment, fetched);
  }

  /** Starts an engine where none is. Resolves to nothing when there is none to be had; playback goes on without. */
  private start(): Promise<EngineSession<TStream> | undefined> {
    this.session ??= this.open();
    return this.session;
  }

  private async open(): Promise<EngineSession<TStream> | undefined> {
    const { generation, streams, listeners, bandwidth } = this;
    await this.beginning.over;
    if (generation !== this.generation) return undefined;
    try {
      const session = await EngineSession.open({
        streams,
        listeners,
        bandwidth,
        config: () => this.config,
        isLive: () => this.isLive,
        manifestUrl: () => this.manifestUrl ?? "",
      });
      await this.run(session, generation);
      return session;
    } catch (error) {
      console.warn("p2p-media: playing without peers:", error);
      return undefined;
    }
  }

  /**
   * Tells a fresh engine what is known, step by step: all of it at once would hold the page up, for the engine's code is new to the browser. Streams it
   * hears of when they are played. What came meanwhile may belong to another presentation; `destroy` ends this engine then.
   */
  private async run(session: EngineSession<TStream>, generation: number): Promise<void> {
    await nextTask();
    if (generation !== this.generation) return;
    this.running = session;
    networkInformation()?.addEventListener?.("change", this.connectionChanged);
    if (this.playback) session.setPlayhead(this.playback.position, this.playback.rate);
    for (const [type, { segmentRuntimeId, fetched }] of [...this.fetched]) {
      const entry = this.streams.ofSegment(segmentRuntimeId);
      this.fetched.delete(type);
      if (!entry) continue;
      session.addStream(entry);
      await nextTask();
      if (generation !== this.generation) return;
      this.share(entry, segmentRuntimeId, fetched);
      await nextTask();
      if (generation !== this.generation) return;
    }
  }

  private setConfig(config: DefinedCoreConfig): void {
    this.config = config;
    this.running?.applyConfig();
  }

  private readonly connectionChanged = (): void => {
    if (this.uploadIsChosen) return;
    const isP2PUploadDisabled = isMetered();
    this.setConfig(changeConfig(this.config, { isP2PUploadDisabled }));
  };

  private streamConfig({ type }: Stream): StreamConfig {
    return type === "main" ? this.config.mainStream : this.config.secondaryStream;
  }
}

/** Gives a player what it might have got piece by piece. */
function passOn(data: ArrayBuffer, progress: LoadProgress): ArrayBuffer {
  progress.onProgress?.(data.byteLength);
  progress.onChunk?.(new Uint8Array(data.slice(0)));
  return data;
}
