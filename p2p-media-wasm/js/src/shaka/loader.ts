/**
 * Loads one segment through the engine in place of Shaka's own request, and through Shaka's own plugin after all when the engine fails.
 */
import type { Core, Segment, SegmentResponse } from "../core/index.js";
import type { AbortableOperation, ProgressUpdated, Request, Response, Shaka } from "./shaka-types.js";

/** A segment request of Shaka that the engine answers. */
export type SegmentRequest = {
  core: Core;
  shaka: Shaka;
  segment: Segment;
  uri: string;
  request: Request;
  progressUpdated: ProgressUpdated;
  /** The request as Shaka would make it. */
  loadPlainly: (request: Request) => AbortableOperation<Response>;
  /** True when playback stands still, or soon will, for want of this segment. */
  isUrgent: () => boolean;
  /** When the engine last received anything; on the clock of `performance.now`. */
  lastReceivedAt: () => number;
};

/** The engine has received nothing for so long while a segment is urgent: then Shaka loads that itself. */
const SILENCE_MS = 8000;
/** How often a load is looked at. */
const TICK_MS = 1000;

/** A load in progress. */
export class SegmentLoad {
  /** What Shaka gets. */
  readonly operation: AbortableOperation<Response>;
  private readonly response: Promise<Response>;
  private resolve!: (response: Response | Promise<Response>) => void;
  private reject!: (error: unknown) => void;
  private readonly startedAt = performance.now();
  private passedOn = 0;
  /** Bytes go to the player one after the other, each when it has taken the one before. */
  private passing: Promise<unknown> = Promise.resolve();
  private plain: AbortableOperation<Response> | undefined;
  private state: "engine" | "plain" | "over" = "engine";
  private hasReportedProgress = false;
  private lastProgressAt = this.startedAt;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(private readonly params: SegmentRequest) {
    const { core, shaka, segment, request } = params;
    this.response = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.operation = new shaka.util.AbortableOperation(this.response, () => this.abort());
    this.timer = setInterval(() => this.tick(), TICK_MS);
    const onSuccess = (response: SegmentResponse) => void this.succeed(response);
    // Also when it says "aborted": an abort of the player's ends this load before.
    const onError = () => this.leaveEngine();
    const to = request.streamDataCallback;
    const onChunk = (bytes: Uint8Array) => void (to && this.state === "engine" && this.pass(to, bytes));
    core.loadSegment(segment.runtimeId, { onSuccess, onError, ...(to && { onChunk }) }).catch(onError);
  }

  /** Loads without the engine what it has not delivered: it failed, or works no longer for this player. */
  leaveEngine(): void {
    if (this.state !== "engine") return;
    this.end("plain");
    const { request } = this.params;
    const pass = request.streamDataCallback;
    // What the player has taken already is not given to it twice.
    const rest = pass && this.passedOn ? { ...request, streamDataCallback: withoutFirst(this.passedOn, pass, this.passing) } : request;
    this.plain = this.params.loadPlainly(rest);
    this.resolve(this.plain.promise);
  }

  /** Resolves when the load has ended in any way. */
  get settled(): Promise<unknown> {
    return this.response.then(
      () => undefined,
      () => undefined,
    );
  }

  private pass(to: (data: BufferSource) => Promise<unknown>, bytes: Uint8Array): void {
    this.passedOn += bytes.byteLength;
    this.passing = this.passing.then(() => to(bytes as Uint8Array<ArrayBuffer>));
    this.passing.catch(() => undefined);
  }

  private async succeed({ data, bandwidth }: SegmentResponse): Promise<void> {
    if (this.state !== "engine") return;
    this.end();
    await this.passing.catch(() => undefined);
    const { uri, request } = this.params;
    const timeMs = loadingTimeMs(data.byteLength, bandwidth) ?? performance.now() - this.startedAt;
    // Shaka measures by progress where there was any, else by the time of the response.
    if (this.hasReportedProgress) this.params.progressUpdated(timeMs, data.byteLength, 0);
    this.resolve({ uri, originalUri: uri, data, status: 200, headers: {}, timeMs, originalRequest: request });
  }

  private async abort(): Promise<void> {
    if (this.state === "plain") return void (await this.plain?.abort());
    if (this.state !== "engine") return;
    this.end();
    const { core, shaka, segment } = this.params;
    core.abortSegmentLoading(segment.runtimeId);
    const { Severity, Category, Code } = shaka.util.Error;
    this.reject(new shaka.util.Error(Severity.RECOVERABLE, Category.NETWORK, Code.OPERATION_ABORTED, this.params.uri));
  }

  private tick(): void {
    const now = performance.now();
    if (now - Math.max(this.startedAt, this.params.lastReceivedAt()) >= SILENCE_MS && this.params.isUrgent()) {
      this.params.core.abortSegmentLoading(this.params.segment.runtimeId);
      this.leaveEngine();
      return;
    }
    // Shaka would end a request that it hears nothing of. The engine has timeouts of its own, and tries again itself.
    const { connectionTimeout, stallTimeout } = this.params.request.retryParameters ?? {};
    const patience = Math.min(connectionTimeout || Infinity, stallTimeout || Infinity);
    if (now - this.lastProgressAt < patience / 2 - TICK_MS) return;
    this.lastProgressAt = now;
    this.hasReportedProgress = true;
    this.params.progressUpdated(0, 0, 0);
  }

  private end(state: "plain" | "over" = "over"): void {
    this.state = state;
    clearInterval(this.timer);
  }
}

/** How long it takes to load so much. `undefined` when nothing was measured. */
function loadingTimeMs(bytes: number, bitsPerSecond: number): number | undefined {
  return bitsPerSecond > 0 && Number.isFinite(bitsPerSecond) ? (bytes * 8000) / bitsPerSecond : undefined;
}

function withoutFirst(count: number, pass: (data: BufferSource) => Promise<unknown>, after: Promise<unknown>) {
  let left = count;
  return async (data: BufferSource): Promise<unknown> => {
    await after.catch(() => undefined);
    const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
    const skipped = Math.min(left, bytes.byteLength);
    left -= skipped;
    return skipped < bytes.byteLength ? pass(bytes.subarray(skipped)) : undefined;
  };
}
