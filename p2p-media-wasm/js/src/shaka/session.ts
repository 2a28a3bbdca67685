/**
 * One presentation that a player has opened: its manifest, the streams that are shared of it, and the numbers of their segments.
 */
import type { Core, Segment } from "../core/index.js";
import { MediaSequences } from "./media-sequences.js";
import type { Manifest, SegmentReference, Stream } from "./shaka-types.js";
import { type NumberedSegment, SharedStream } from "./shared-stream.js";
import { type DescribedStream, describeStreams } from "./stream-properties.js";

/** Segment ids of DASH count half seconds of the presentation. */
const DASH_ID_S = 0.5;
/** Where the ids of segments shorter than that begin, which count milliseconds. */
const FIRST_SHORT_ID = 2 ** 48;

/** One presentation, from the start of its parser on. */
export class Session {
  /** After redirects; known once the manifest has been loaded. */
  manifestUrl: string | undefined;
  private manifest: Manifest | undefined;
  private readonly sequences = new MediaSequences();
  private multivariantPlaylist: string | undefined;
  private readonly described = new Map<Stream, DescribedStream>();
  private readonly streams = new Map<Stream, SharedStream>();
  /** Where to register. Absent while another presentation is played. */
  private core: Core | undefined;

  constructor(
    readonly protocol: "hls" | "dash",
    /** What the page gave to the player. */
    readonly requestedUrl: string,
  ) {}

  /** The manifest is there. It may change later. */
  open(manifest: Manifest): void {
    this.manifest = manifest;
    this.describe(manifest);
  }

  /** A manifest or playlist of this presentation has been loaded. */
  readManifest(data: BufferSource, url: string): void {
    this.manifestUrl ??= url;
    if (this.protocol !== "hls") return;
    const text = new TextDecoder().decode(data);
    if (text.includes("#EXT-X-STREAM-INF")) this.multivariantPlaylist ??= text;
    else this.sequences.read(text, url);
  }

  /** True when the stream is one of those that are played together here, whether shared or not. */
  owns(stream: Stream): boolean {
    return this.manifest?.variants.some(({ video, audio }) => video === stream || audio === stream) ?? false;
  }

  /** Registers with `core` from now on. */
  attach(core: Core): void {
    this.core = core;
    core.setManifestResponseUrl(this.manifestUrl ?? this.requestedUrl);
    core.setIsLive(this.isLive);
    this.addStreams();
  }

  /** Ends what {@link attach} began. */
  detach(): void {
    this.core = undefined;
    this.streams.clear();
  }

  /** The segment to load in place of a request, `undefined` when it is not shared. */
  take(stream: Stream, reference: SegmentReference): Segment | undefined {
    if (!this.streams.has(stream)) this.addStreams();
    const shared = this.streams.get(stream);
    const segment = shared?.take(reference);
    shared?.refresh(reference.getStartTime(), this.liveStart);
    return segment;
  }

  /** Registers what has come around the playhead, and drops what has left. */
  refresh(time: number): void {
    const { core, liveStart } = this;
    if (!core) return;
    core.setIsLive(this.isLive);
    for (const shared of this.streams.values()) shared.refresh(time, liveStart);
  }

  private get isLive(): boolean {
    return this.manifest?.presentationTimeline.isLive() ?? false;
  }

  private get liveStart(): number | undefined {
    return this.isLive ? this.manifest?.presentationTimeline.getSegmentAvailabilityStart() : undefined;
  }

  /** Periods of a live presentation bring new streams. */
  private addStreams(): void {
    const { core, manifest } = this;
    if (!core || !manifest) return;
    this.describe(manifest);
    for (const { stream, type, properties } of this.described.values()) {
      if (this.streams.has(stream)) continue;
      const runtimeId = String(stream.id);
      core.addStreamIfNoneExists({ runtimeId, type, index: "" }, properties);
      const isHls = this.protocol === "hls";
      const numbering = isHls ? (segment: NumberedSegment) => this.hlsNumber(segment) : dashNumber;
      const sink = (add: Segment[], remove: string[]) => core.updateStream(runtimeId, add, remove);
      this.streams.set(stream, new SharedStream(stream, numbering, !isHls, sink));
    }
  }

  /** Streams are known by what the manifest says: Shaka changes their properties when it has seen their segments. */
  private describe(manifest: Manifest): void {
    for (const described of describeStreams(manifest.variants, this.protocol, this.multivariantPlaylist)) {
      if (!this.described.has(described.stream)) this.described.set(described.stream, described);
    }
  }

  private hlsNumber({ url, byteRange, position }: NumberedSegment): number | undefined {
    return this.sequences.isLive ? this.sequences.numberOf(url, byteRange) : position;
  }
}

/** The last segment is cut where its period ends, so there the one before it tells how long segments are. */
function dashNumber({ startTime, endTime, index, position }: NumberedSegment): number {
  const isShort = (start: number, end: number) => end - start < DASH_ID_S;
  const previous = isShort(startTime, endTime) && !index.get(position + 1) ? index.get(position - 1) : null;
  const short = previous ? isShort(previous.getStartTime(), previous.getEndTime()) : isShort(startTime, endTime);
  return short ? FIRST_SHORT_ID + Math.round(startTime * 1000) : Math.trunc(startTime / DASH_ID_S);
}
