/**
 * The fragment loader that hls.js is given. What the engine knows and may share comes through it; all else, and whatever it fails to give,
 * takes the way it would take without it: hls.js's own loader.
 */
import type { FragmentLoaderContext, HlsConfig, Loader, LoaderCallbacks, LoaderConfiguration, LoaderStats } from "hls.js";
import { type Core, type SegmentResponse, segmentRuntimeId } from "../core/index.js";
import type { Bypass } from "./bypass.js";
import { byteRangeOf } from "./byte-range.js";
import { completeStats, noteProgress, resetStats } from "./load-stats.js";
import type { Playback } from "./playback.js";

type FragmentLoading = Loader<FragmentLoaderContext>;
type Callbacks = LoaderCallbacks<FragmentLoaderContext>;

/** What the loaders of one engine share. */
export type LoaderSurroundings = {
  readonly core: Core;
  readonly playback: Playback;
  readonly bypass: Bypass;
};

/** A segment that the engine was asked for. */
type CoreRequest = {
  readonly segmentId: string;
  /** Where it begins, in seconds. */
  readonly start: number;
  /** When it was asked for, and when the first byte came; milliseconds. */
  readonly startedAt: number;
  firstByteAt: number | undefined;
  /** Bytes that hls.js wants in larger pieces. */
  pending: Uint8Array[];
  /** Bytes were passed on to hls.js: another attempt would give them twice. */
  hasStreamed: boolean;
};

export class FragmentLoader implements FragmentLoading {
  context: FragmentLoaderContext | null = null;
  stats: LoaderStats;
  readonly #surroundings: LoaderSurroundings;
  readonly #hlsConfig: HlsConfig;
  /** hls.js's own loader, which also makes the object of figures: hls.js reads that before it says what to load. */
  readonly #plain: FragmentLoading;
  #isPlain = false;
  #config: LoaderConfiguration | undefined;
  #callbacks: Callbacks | undefined;
  #request: CoreRequest | undefined;
  #watchdog: ReturnType<typeof setTimeout> | undefined;

  constructor(hlsConfig: HlsConfig, plain: FragmentLoading, surroundings: LoaderSurroundings) {
    this.#hlsConfig = hlsConfig;
    this.#plain = plain;
    this.#surroundings = surroundings;
    this.stats = plain.stats;
  }

  load(context: FragmentLoaderContext, config: LoaderConfiguration, callbacks: Callbacks): void {
    this.context = context;
    this.#config = config;
    this.#callbacks = callbacks;
    const segmentId = this.#loadableSegment(context);
    if (segmentId === undefined) {
      this.#loadPlainly(callbacks);
    } else {
      const { start } = context.part ?? context.frag;
      this.#surroundings.playback.expect(start);
      this.#loadThroughCore({ segmentId, start, startedAt: performance.now(), firstByteAt: undefined, pending: [], hasStreamed: false });
    }
  }

  abort(): void {
    if (this.#isPlain) this.#plain.abort();
    if (!this.#cancelRequest() || !this.context) return;
    this.stats.aborted = true;
    this.#callbacks?.onAbort?.(this.stats, this.context, null);
  }

  destroy(): void {
    if (this.#cancelRequest()) this.stats.aborted = true;
    this.#callbacks = undefined;
    this.#plain.destroy();
  }

  #loadableSegment(context: FragmentLoaderContext): string | undefined {
    const { core, bypass } = this.#surroundings;
    // Initialization segments are small and each viewer needs them at once.
    if (context.frag.sn === "initSegment" || bypass.isOpen()) return undefined;
    const segmentId = segmentRuntimeId(context.url, byteRangeOf(context.rangeStart, context.rangeEnd));
    return core.hasSegment(segmentId) && core.isSegmentLoadable(segmentId) ? segmentId : undefined;
  }

  #loadThroughCore(request: CoreRequest): void {
    this.#request = request;
    this.stats.loading.start = request.startedAt;
    this.#watch(request);
    void this.#askCore(request);
  }

  async #askCore(request: CoreRequest): Promise<void> {
    try {
      await this.#surroundings.core.loadSegment(request.segmentId, {
        onProgress: (bytesLength) => this.#bytesCame(request, bytesLength),
        ...(this.#hlsConfig.progressive && { onChunk: (bytes) => this.#streamOn(request, bytes) }),
        onSuccess: (response) => this.#segmentCame(request, response),
        onError: () => this.#coreFailed(request),
      });
    } catch {
      this.#coreFailed(request);
    }
  }

  #bytesCame(request: CoreRequest, bytesLength: number): void {
    if (this.#request !== request) return;
    const now = performance.now();
    request.firstByteAt ??= now;
    noteProgress(this.stats, bytesLength, now);
    this.#watch(request);
  }

  /** hls.js demuxes while a segment loads, in pieces that are not too small. */
  #streamOn(request: CoreRequest, bytes: Uint8Array): void {
    if (this.#request !== request || !this.#callbacks?.onProgress) return;
    request.pending.push(bytes);
    const pendingBytes = request.pending.reduce((sum, piece) => sum + piece.byteLength, 0);
    if (pendingBytes >= (this.#config?.highWaterMark ?? 0)) this.#passOn(request);
  }

  #passOn(request: CoreRequest): void {
    if (request.pending.length === 0 || !this.context) return;
    const joined = new Uint8Array(request.pending.reduce((sum, piece) => sum + piece.byteLength, 0));
    let offset = 0;
    for (const piece of request.pending) {
      joined.set(piece, offset);
      offset += piece.byteLength;
    }
    request.pending = [];
    request.hasStreamed = true;
    this.#callbacks?.onProgress?.(this.stats, this.context, joined.buffer, null);
  }

  #segmentCame(request: CoreRequest, { data, bandwidth }: SegmentResponse): void {
    const { context } = this;
    if (!this.#release(request) || !context) return;
    this.#surroundings.bypass.noteSuccess();
    completeStats(this.stats, data.byteLength, bandwidth, request, performance.now());
    if (request.hasStreamed) this.#passOn(request);
    else this.#callbacks?.onProgress?.(this.stats, context, data, null);
    this.#callbacks?.onSuccess({ url: context.url, data, code: 200 }, this.stats, context, null);
  }

  /** The engine has no source left, or is gone: whatever the reason, hls.js's own loader finds out the truth about the origin. */
  #coreFailed(request: CoreRequest): void {
    const { context } = this;
    const callbacks = this.#callbacks;
    if (!this.#release(request) || !context || !callbacks) return;
    if (request.hasStreamed) {
      callbacks.onError({ code: 0, text: "The segment ended early" }, context, null, this.stats);
      return;
    }
    resetStats(this.stats);
    this.#loadPlainly({
      ...callbacks,
      onSuccess: (...result) => {
        this.#surroundings.bypass.noteFailure();
        callbacks.onSuccess(...result);
      },
    });
  }

  #loadPlainly(callbacks: Callbacks): void {
    if (!this.context || !this.#config) return;
    this.#isPlain = true;
    this.#plain.load(this.context, this.#config, callbacks);
  }

  /**
   * An engine that gives no byte for as long as hls.js would wait for an origin is not waited for any longer. What is not needed so soon it
   * may keep until a peer has time.
   */
  #watch(request: CoreRequest): void {
    clearTimeout(this.#watchdog);
    const patienceMs = this.#config?.loadPolicy.maxTimeToFirstByteMs;
    if (!patienceMs || !Number.isFinite(patienceMs)) return;
    this.#watchdog = setTimeout(() => {
      if (this.#request !== request) return;
      if (this.#surroundings.playback.distanceTo(request.start) * 1000 > patienceMs) {
        this.#watch(request);
        return;
      }
      this.#surroundings.core.abortSegmentLoading(request.segmentId);
      this.#coreFailed(request);
    }, patienceMs);
  }

  #cancelRequest(): boolean {
    const request = this.#request;
    if (!request || !this.#release(request)) return false;
    this.#surroundings.core.abortSegmentLoading(request.segmentId);
    return true;
  }

  /** Ends a request; false when it had ended already: answers that come late are not for hls.js. */
  #release(request: CoreRequest): boolean {
    if (this.#request !== request) return false;
    this.#request = undefined;
    clearTimeout(this.#watchdog);
    return true;
  }
}
