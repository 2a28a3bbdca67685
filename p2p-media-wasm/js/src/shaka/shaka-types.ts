/**
 * What is used of Shaka Player 4.12 to 5.2: only what its compiled builds export under its own name. Types of our own, for those of Shaka
 * differ from version to version.
 */

/** Anything that `shaka.Player` of a supported version is. */
export interface ShakaPlayer {
  getNetworkingEngine(): object | null;
  getMediaElement(): HTMLMediaElement | null;
  getVariantTracks(): { active: boolean; bandwidth: number }[];
  isLive(): boolean;
  configure(path: string, value: unknown): boolean;
  getConfiguration(): unknown;
  // Listeners of Shaka are typed in a way that differs between versions, and none of ours wants its event.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  addEventListener(type: string, listener: any): void;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  removeEventListener(type: string, listener: any): void;
}

/** Anything that the namespace `shaka` of a supported version is. */
export interface ShakaNamespace {
  readonly Player: unknown;
  readonly net: unknown;
  readonly media: unknown;
  readonly util: unknown;
}

/** The namespace `shaka` as it is used here. */
export interface Shaka {
  readonly net: {
    readonly NetworkingEngine: {
      registerScheme(scheme: string, plugin: SchemePlugin, priority?: number, progressSupport?: boolean): void;
      unregisterScheme(scheme: string): void;
      readonly PluginPriority: { readonly PREFERRED: number };
      readonly RequestType: { readonly MANIFEST: number; readonly SEGMENT: number };
      readonly AdvancedRequestType: { readonly MEDIA_SEGMENT: number };
    };
    readonly HttpFetchPlugin: { isSupported(): boolean; parse: SchemePlugin };
    readonly HttpXHRPlugin: { parse: SchemePlugin };
  };
  readonly media: {
    readonly ManifestParser: {
      registerParserByMime(mime: string, factory: () => ManifestParser): void;
      unregisterParserByMime(mime: string): void;
    };
  };
  /** Absent in builds without DASH. */
  readonly dash?: { readonly DashParser?: new () => ManifestParser };
  /** Absent in builds without HLS. */
  readonly hls?: { readonly HlsParser?: new () => ManifestParser };
  readonly util: {
    readonly AbortableOperation: new <T>(promise: Promise<T>, onAbort: () => Promise<void>) => AbortableOperation<T>;
    readonly Error: {
      new (severity: number, category: number, code: number, ...data: unknown[]): Error;
      readonly Severity: { readonly RECOVERABLE: number };
      readonly Category: { readonly NETWORK: number };
      readonly Code: { readonly OPERATION_ABORTED: number };
    };
  };
}

/** `shaka.extern.IAbortableOperation`. */
export interface AbortableOperation<T> {
  readonly promise: Promise<T>;
  abort(): Promise<unknown>;
}

/** `shaka.extern.Request`. */
export interface Request {
  uris: string[];
  method: string;
  headers: Record<string, string>;
  allowCrossSiteCredentials?: boolean;
  retryParameters?: { connectionTimeout?: number; stallTimeout?: number };
  streamDataCallback?: ((data: BufferSource) => Promise<unknown>) | null;
  attempt?: number;
}

/** `shaka.extern.RequestContext`: what a request is for. */
export interface RequestContext {
  type?: number;
  stream?: Stream;
  segment?: SegmentReference;
  isPreload?: boolean;
}

/** `shaka.extern.Response`. */
export interface Response {
  uri: string;
  originalUri: string;
  data: BufferSource;
  status?: number;
  headers: Record<string, string>;
  timeMs?: number;
  /** Since 4.13. */
  originalRequest?: Request;
}

/** `shaka.extern.ProgressUpdated`: milliseconds, the bytes of that time, bytes to come. */
export type ProgressUpdated = (timeMs: number, bytes: number, bytesRemaining: number) => void;

/** `shaka.extern.SchemePlugin`. */
export type SchemePlugin = (
  uri: string,
  request: Request,
  requestType: number,
  progressUpdated: ProgressUpdated,
  headersReceived: (headers: Record<string, string>) => void,
  config: unknown,
) => AbortableOperation<Response>;

/** `shaka.extern.RequestFilter`. */
export type RequestFilter = (type: number, request: Request, context?: RequestContext) => void;

/** `shaka.extern.ResponseFilter`. */
export type ResponseFilter = (type: number, response: Response, context?: RequestContext) => void;

/** `shaka.net.NetworkingEngine` of a player. */
export interface NetworkingEngine {
  registerRequestFilter(filter: RequestFilter): void;
  unregisterRequestFilter(filter: RequestFilter): void;
  registerResponseFilter(filter: ResponseFilter): void;
  unregisterResponseFilter(filter: ResponseFilter): void;
}

/** `shaka.extern.ManifestParser`, of which the start is hooked. */
export interface ManifestParser {
  start(uri: string, playerInterface: { readonly networkingEngine: object }): Promise<Manifest>;
}

/** `shaka.extern.Manifest`; the parser of a live one changes it in place. */
export interface Manifest {
  readonly variants: readonly Variant[];
  readonly presentationTimeline: PresentationTimeline;
}

/** `shaka.media.PresentationTimeline`. */
export interface PresentationTimeline {
  isLive(): boolean;
  getSegmentAvailabilityStart(): number;
}

/** `shaka.extern.Variant`. */
export interface Variant {
  readonly bandwidth: number;
  readonly video: Stream | null;
  readonly audio: Stream | null;
}

/** `shaka.extern.Stream`. */
export interface Stream {
  readonly id: number;
  readonly originalId: string | null;
  readonly codecs?: string;
  readonly width?: number;
  readonly height?: number;
  readonly frameRate?: number;
  readonly hdr?: string;
  readonly language?: string;
  readonly label?: string | null;
  readonly channelsCount?: number | null;
  /** Absent until the player wants the stream, and again after it has left it. */
  readonly segmentIndex: SegmentIndex | null;
}

/** `shaka.media.SegmentIndex`. Many make their references only when asked for them, and not all tell how many they have. */
export interface SegmentIndex {
  /** The position of the segment at a time, of the first one for times before it. */
  find(time: number): number | null;
  get(position: number): SegmentReference | null;
}

/** `shaka.media.SegmentReference`. */
export interface SegmentReference {
  getStartTime(): number;
  getEndTime(): number;
  getUris(): string[];
  getStartByte(): number;
  /** Inclusive; null for the end of the resource. */
  getEndByte(): number | null;
  getStatus?(): number;
  isPartial?(): boolean;
  /** What the parser has loaded of it already; it is let go when it is read, unless told not to. */
  getSegmentData?(letGo: boolean): BufferSource | null;
}
