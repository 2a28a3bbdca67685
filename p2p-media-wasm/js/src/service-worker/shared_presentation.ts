/** One presentation that the page shares: the readers of its manifests, the engine, and answers to the worker. */
import { Core, type CoreConfig, type DynamicCoreConfig } from "../core/index.js";
import type { ManifestsModule } from "./manifests.js";
import { mediaTypeOf } from "./media_type.js";
import type { ManifestMessage, RequestedRange, SegmentAnswer, SegmentMessage, SegmentWithdrawal, Served } from "./messages.js";
import { markChanges, markedUrl, markRequests, type RequestStyle } from "./own_requests.js";
import { Playhead } from "./playhead.js";
import { type ListedSegment, SegmentTable } from "./segment_table.js";

/** How often the engine is told where playback stands. */
const PLAYHEAD_INTERVAL_MS = 250;
/** Indexes of one stream that are fetched for one request: one for each period, or a chain of them. */
const MAX_INDEXES = 256;
/** Names of manifests told to the worker. */
const MAX_NAMES = 1000;

type Reader = InstanceType<ManifestsModule["Presentation"]>;

export class SharedPresentation {
  readonly core: Core;
  /** When a manifest was read or a segment asked for, by `performance.now()`. */
  lastUsed = performance.now();
  private readonly table = new SegmentTable();
  private readonly playhead = new Playhead();
  private readonly style: RequestStyle = { headers: [], credentials: "same-origin" };
  /** How many players wait for each segment. */
  private readonly waiting = new Map<string, number>();
  private readonly indexing = new Set<number>();
  private readonly playheadTimer: number;
  private clockTimer: number | undefined;

  private constructor(
    private readonly reader: Reader,
    config: CoreConfig,
  ) {
    this.core = new Core(markRequests(config, this.style));
    this.core.setManifestResponseUrl(reader.manifest_url);
    this.playheadTimer = window.setInterval(() => this.tellPlayhead(), PLAYHEAD_INTERVAL_MS);
  }

  /** Opens a presentation with its first manifest. Throws when that cannot be read. */
  static open({ Presentation }: ManifestsModule, message: ManifestMessage, config: CoreConfig): SharedPresentation {
    const reader = new Presentation();
    try {
      readInto(reader, message);
    } catch (error) {
      reader.free();
      throw error;
    }
    const opened = new SharedPresentation(reader, config);
    opened.takeNews();
    return opened;
  }

  get manifestUrl(): string {
    return this.reader.manifest_url;
  }

  /** True for the URL of one of its manifests. */
  names(url: string): boolean {
    return this.reader.names(url);
  }

  /** Takes in a newer version, or another playlist. Throws when it cannot be read. */
  read(message: ManifestMessage): void {
    this.lastUsed = performance.now();
    readInto(this.reader, message);
    this.takeNews();
  }

  served(): Served {
    const lines = (text: string): string[] => (text ? text.split("\n") : []);
    return {
      directories: [...new Set([...this.table.directories(), ...lines(this.reader.directories())])],
      manifests: lines(this.reader.manifest_names()).slice(0, MAX_NAMES),
    };
  }

  /** The segment that a request means. */
  find(url: string, range: RequestedRange | undefined): ListedSegment | undefined {
    const find = (): ListedSegment | undefined => {
      const segment = this.table.find(url, range, (type) => this.playhead.expected(type));
      return segment && this.core.isSegmentLoadable(segment.runtimeId) ? segment : undefined;
    };
    const known = find();
    if (known) return known;
    const unindexed = this.reader.look_for(url, range?.start, range?.end, now());
    this.takeNews();
    if (unindexed !== undefined) void this.loadIndexes(unindexed);
    return find();
  }

  /** Gives the worker a segment, as it comes. */
  answer({ range, isOwn, clientId, headers, credentials }: SegmentMessage, segment: ListedSegment, port: MessagePort): void {
    const { runtimeId, byteRange } = segment;
    this.lastUsed = performance.now();
    if (isOwn) {
      Object.assign(this.style, { headers, credentials });
      this.playhead.asked(segment.streamType, segment);
    } else {
      this.playhead.askedByOther(clientId, segment);
    }
    // The engine chooses a source by how soon the segment is needed.
    this.tellPlayhead();

    const say = (answer: SegmentAnswer, transfer: Transferable[] = []): void => port.postMessage(answer, transfer);
    let isOver = false;
    let toSkip = range && byteRange ? range.start - byteRange.start : 0;
    let left = range ? range.end - range.start + 1 : Infinity;
    const end = (): void => {
      isOver = true;
      const waiting = (this.waiting.get(runtimeId) ?? 1) - 1;
      if (waiting > 0) this.waiting.set(runtimeId, waiting);
      else this.waiting.delete(runtimeId);
    };
    port.onmessage = ({ data }: MessageEvent<SegmentWithdrawal>) => {
      if (isOver || data.is !== "withdrawn") return;
      end();
      if (!this.waiting.has(runtimeId)) this.core.abortSegmentLoading(runtimeId);
    };
    this.waiting.set(runtimeId, (this.waiting.get(runtimeId) ?? 0) + 1);
    say({ is: "accepted", type: mediaTypeOf(segment.url) });
    const onChunk = (chunk: Uint8Array): void => {
      if (isOver) return;
      const skipped = Math.min(toSkip, chunk.length);
      toSkip -= skipped;
      const bytes = chunk.subarray(skipped, Math.min(chunk.length, skipped + left));
      left -= bytes.length;
      if (bytes.length === 0) return;
      const buffer = (bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice()).buffer as ArrayBuffer;
      say({ is: "chunk", bytes: buffer }, [buffer]);
    };
    const callbacks = {
      onChunk,
      onSuccess: () => {
        if (isOver) return;
        end();
        say({ is: left > 0 && left < Infinity ? "failed" : "end" });
      },
      onError: () => {
        if (isOver) return;
        end();
        say({ is: "failed" });
      },
    };
    this.core.loadSegment(runtimeId, callbacks).catch(callbacks.onError);
  }

  applyDynamicConfig(config: DynamicCoreConfig): void {
    this.core.applyDynamicConfig(markChanges(config, this.style));
  }

  /** Leaves the swarms. */
  destroy(): void {
    clearInterval(this.playheadTimer);
    clearTimeout(this.clockTimer);
    this.core.destroy();
    this.reader.free();
  }

  private tellPlayhead(): void {
    const now = this.playhead.now();
    if (now) this.core.updatePlayback(now.position, now.rate);
  }

  /** Tells the engine what manifests, or the passing of time, have changed. */
  private takeNews(): void {
    clearTimeout(this.clockTimer);
    const seconds = this.reader.follow_time(now());
    for (let news = this.reader.next_news(); news; news = this.reader.next_news()) {
      const { stream, kind, id, live } = news;
      const changes = this.table.list({ stream, kind, urls: news.urls(), numbers: news.numbers(), removed: news.removed() });
      news.free();
      this.core.setIsLive(live);
      this.core.addStreamIfNoneExists({ runtimeId: changes.streamRuntimeId, type: kind === "secondary" ? "secondary" : "main", index: id });
      this.core.updateStream(changes.streamRuntimeId, changes.added, changes.removed);
    }
    if (seconds !== undefined) this.clockTimer = window.setTimeout(() => this.takeNews(), seconds * 1000);
  }

  /** Fetches what indexes a stream still needs. The player fetches them too, at about the same time, and its segments are known afterwards. */
  private async loadIndexes(stream: number): Promise<void> {
    if (this.indexing.has(stream)) return;
    this.indexing.add(stream);
    for (let count = 0; count < MAX_INDEXES; count++) {
      const index = this.reader.index_needed(stream);
      if (!index) break;
      const bytes = await fetchIndex(index.url, index.range, this.style).catch(() => undefined);
      this.reader.read_index(index, bytes, now());
      index.free();
    }
    this.indexing.delete(stream);
    this.takeNews();
  }
}

async function fetchIndex(url: string, range: string | undefined, { headers, credentials }: RequestStyle): Promise<Uint8Array> {
  const response = await fetch(markedUrl(url), { headers: [...headers, ...(range ? [["Range", range] as [string, string]] : [])], credentials });
  if (!response.ok || (range && response.status !== 206)) throw new Error(`the origin answered with status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function readInto(reader: Reader, { url, responseUrl, text, sentAt }: ManifestMessage): void {
  reader.read(url, responseUrl, new Uint8Array(text), now(), sentAt);
}

/** Seconds since 1970. */
function now(): number {
  return Date.now() / 1000;
}
