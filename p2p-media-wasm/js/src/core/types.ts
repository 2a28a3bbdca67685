/**
 * The types of the engine's JavaScript API: those of p2p-media-loader-core 2.3, under the same names, and a few of ours.
 */

/** The kind of swarm a stream is shared in: video, muxed or audio-only streams are main, separate audio is secondary. */
export type StreamType = "main" | "secondary";

/** Bytes of a resource; both ends are offsets and inclusive. */
export type ByteRange = { start: number; end: number };

/** A media segment as a playlist or an MPD lists it. */
export type Segment = {
  /** Unique on this page: the segment's URL and byte range (see {@link segmentRuntimeId}). */
  readonly runtimeId: string;
  /** The number that peers know it by: media sequence number (HLS live), index (HLS VOD), trunc(start / 0.5 s) (DASH). */
  readonly externalId: number;
  /** Absolute URL at the origin. */
  readonly url: string;
  /** The part of the resource that is the segment; the whole when absent. */
  readonly byteRange?: ByteRange;
  /** When it begins: seconds on the timeline that `updatePlayback` uses. */
  readonly startTime: number;
  /** When it ends: seconds on that timeline. */
  readonly endTime: number;
  /** Ours: a part of a low-latency segment, or a segment that is still being produced. Whole and finished when absent. */
  readonly form?: "part" | "unfinished";
};

/** A variant, rendition or representation. */
export type Stream = {
  /** Unique on this page; the integration chooses it. */
  readonly runtimeId: string;
  /** Main or secondary. */
  readonly type: StreamType;
  /** The id that all viewers derive alike from the stream's properties, see `generateStreamShortId`. */
  readonly index: string;
};

/** A segment with the stream that it belongs to. */
export type SegmentWithStream<TStream extends Stream = Stream> = Segment & { readonly stream: StreamWithSegments<TStream> };

/** A stream with the segments that are known of it, by runtime id. */
export type StreamWithSegments<TStream extends Stream = Stream> = TStream & {
  readonly segments: Map<string, SegmentWithStream<TStream>>;
};

/** What a manifest says about a stream, raw; absent where it says nothing. The stream id is made of these. */
export type StreamProperties = {
  /** Peak bits per second. */
  bitrate?: number;
  /** RFC 6381 codecs, separated by commas. */
  codecs?: string;
  /** Pixels. */
  width?: number;
  /** Pixels. */
  height?: number;
  /** RFC 5646 tag. */
  language?: string;
  /** As the HLS attribute CHANNELS has it. */
  channels?: string | number;
  /** Name of the rendition. */
  name?: string;
  /** Frames per second. */
  frameRate?: string | number;
  /** SDR, PQ or HLG. */
  videoRange?: string;
};

/** Options that hold for both kinds of stream. */
export type CommonCoreConfig = {
  /** Most media held in memory, in MiB. By class of device when undefined: 4096 on desktops, 2048 on Android, 1024 elsewhere. */
  segmentMemoryStorageLimit: number | undefined;
  /** Makes the store that keeps segments in place of memory. */
  customSegmentStorageFactory?: (isLive: boolean) => SegmentStorage;
};

/** Checks a complete segment before it is played, kept or passed on. */
export type SegmentValidator = (url: string, byteRange: ByteRange | undefined, data: ArrayBuffer) => Promise<boolean>;

/** Makes the request for (a part of) a segment, for example with headers of the page's own. The default request when it gives nothing. */
export type HttpRequestSetup = (
  segmentUrl: string,
  segmentByteRange: ByteRange | undefined,
  requestAbortSignal: AbortSignal,
  requestByteRange: { start: number; end?: number } | undefined,
) => Promise<Request | undefined | null>;

/** Options of one kind of stream. Defaults are those of the official library, except where the text says otherwise. */
export type StreamConfig = {
  /** Send nothing to peers. Default: false; ours: true on connections that the browser calls metered (data saver, cellular). */
  isP2PUploadDisabled: boolean;
  /** Neither send to peers nor receive from them. Default: false. */
  isP2PDisabled: boolean;
  /** Seconds ahead of the playhead that are fetched from the origin when no peer has them. Default: 15. */
  highDemandTimeWindow: number;
  /** Seconds ahead of the playhead beyond which nothing is fetched over HTTP. Default: 3000. */
  httpDownloadTimeWindow: number;
  /** No HTTP this long after the start, except for what playback needs now. Milliseconds. Default: 0. */
  httpDownloadInitialTimeoutMs: number;
  /** Seconds ahead of the playhead beyond which nothing is fetched from peers. Default: 6000. */
  p2pDownloadTimeWindow: number;
  /** Default: 2. */
  simultaneousHttpDownloads: number;
  /** Default: 3. */
  simultaneousP2PDownloads: number;
  /** Longest message sent to a peer, bytes. Default: 65535. */
  webRtcMaxMessageSize: number;
  /** A peer that sends nothing for this long has failed. Milliseconds. Default: 2000. */
  p2pNotReceivingBytesTimeoutMs: number;
  /** The swarm of a stream that is no longer played lives on this long. Milliseconds. Default: 30000. */
  p2pInactiveLoaderDestroyTimeoutMs: number;
  /** An origin that sends nothing for this long has failed. Milliseconds. Default: 3000. */
  httpNotReceivingBytesTimeoutMs: number;
  /** Further attempts after a failed one. Default: 3. */
  httpErrorRetries: number;
  /** Timeouts after which a peer is dropped. Default: 3. */
  p2pErrorRetries: number;
  /** Websocket URLs of WebTorrent trackers. */
  announceTrackers: string[];
  /** As `RTCPeerConnection` takes it. */
  rtcConfig: RTCConfiguration;
  /** First characters of the peer id. */
  trackerClientVersionPrefix: string;
  /** What swarm ids begin with in place of the manifest's URL. */
  swarmId?: string;
  /** Checks what comes from peers. */
  validateP2PSegment?: SegmentValidator;
  /** Checks what comes from the origin. */
  validateHTTPSegment?: SegmentValidator;
  /** Makes requests to the origin. */
  httpRequestSetup?: HttpRequestSetup;
};

/** Everything that `Core` takes. Options of a stream may stand beside the common ones, for both kinds, and in the two tables. */
export type CoreConfig = Partial<StreamConfig> &
  Partial<CommonCoreConfig> & {
    mainStream?: Partial<StreamConfig>;
    secondaryStream?: Partial<StreamConfig>;
  };

/** What `Core.getConfig` gives: every option with its value. */
export type DefinedCoreConfig = CommonCoreConfig & { mainStream: StreamConfig; secondaryStream: StreamConfig };

/** Names of the stream options that may change while running. */
export type DynamicStreamProperties =
  | "highDemandTimeWindow"
  | "httpDownloadInitialTimeoutMs"
  | "httpDownloadTimeWindow"
  | "p2pDownloadTimeWindow"
  | "simultaneousHttpDownloads"
  | "simultaneousP2PDownloads"
  | "webRtcMaxMessageSize"
  | "p2pNotReceivingBytesTimeoutMs"
  | "p2pInactiveLoaderDestroyTimeoutMs"
  | "httpNotReceivingBytesTimeoutMs"
  | "httpErrorRetries"
  | "p2pErrorRetries"
  | "validateP2PSegment"
  | "httpRequestSetup"
  | "isP2PDisabled"
  | "isP2PUploadDisabled";

/** Stream options that may change while running. */
export type DynamicStreamConfig = Partial<Pick<StreamConfig, DynamicStreamProperties>>;

/** Options that may change while running. */
export type DynamicCoreConfig = DynamicStreamConfig &
  Partial<CommonCoreConfig> & { mainStream?: DynamicStreamConfig; secondaryStream?: DynamicStreamConfig };

/** Where bytes came from. */
export type DownloadSource = "http" | "p2p";

/** Payload of `onSegmentStart`. */
export type SegmentStartDetails = { segment: Segment; downloadSource: DownloadSource; peerId: string | undefined };

/** Payload of `onSegmentError`. */
export type SegmentErrorDetails = {
  error: RequestError;
  segment: Segment;
  downloadSource: DownloadSource;
  peerId: string | undefined;
  streamType: StreamType;
};

/** Payload of `onSegmentAbort`. */
export type SegmentAbortDetails = {
  segment: Segment;
  downloadSource: DownloadSource | undefined;
  peerId: string | undefined;
  streamType: StreamType;
};

/** Payload of `onSegmentLoaded`. */
export type SegmentLoadDetails = {
  segmentUrl: string;
  bytesLength: number;
  downloadSource: DownloadSource;
  peerId: string | undefined;
  streamType: StreamType;
};

/** Payload of `onPeerConnect` and `onPeerClose`. */
export type PeerDetails = { peerId: string; streamType: StreamType };

/** Payload of `onPeerError`. */
export type PeerErrorDetails = { peerId: string; streamType: StreamType; error: Error };

/** Payload of `onTrackerError`. */
export type TrackerErrorDetails = { streamType: StreamType; error: unknown };

/** Payload of `onTrackerWarning`. */
export type TrackerWarningDetails = { streamType: StreamType; warning: unknown };

/** The eleven events and what their listeners are called with. */
export type CoreEventMap = {
  onSegmentLoaded: (params: SegmentLoadDetails) => void;
  onSegmentError: (params: SegmentErrorDetails) => void;
  onSegmentAbort: (params: SegmentAbortDetails) => void;
  onSegmentStart: (params: SegmentStartDetails) => void;
  onPeerConnect: (params: PeerDetails) => void;
  onPeerClose: (params: PeerDetails) => void;
  onPeerError: (params: PeerErrorDetails) => void;
  onChunkDownloaded: (bytesLength: number, downloadSource: DownloadSource, peerId?: string) => void;
  onChunkUploaded: (bytesLength: number, peerId: string) => void;
  onTrackerError: (params: TrackerErrorDetails) => void;
  onTrackerWarning: (params: TrackerWarningDetails) => void;
};

/** Why an attempt to load a segment failed. */
export type RequestErrorType =
  | "abort"
  | "bytes-receiving-timeout"
  | "http-error"
  | "http-bytes-mismatch"
  | "http-unexpected-status-code"
  | "http-segment-validation-failed"
  | "peer-response-bytes-length-mismatch"
  | "peer-protocol-violation"
  | "peer-segment-absent"
  | "peer-closed"
  | "p2p-segment-validation-failed";

/** An attempt to load a segment that failed. */
export class RequestError<T extends RequestErrorType = RequestErrorType> extends Error {
  /** When: milliseconds of `performance.now()`. */
  readonly timestamp: number;

  constructor(
    readonly type: T,
    message?: string,
  ) {
    super(message);
    this.timestamp = performance.now();
  }
}

/** Figures since the engine began. Bytes are those of media. */
export type CoreStats = {
  httpBytes: number;
  p2pBytes: number;
  uploadedBytes: number;
  /** Given to the player. */
  deliveredBytes: number;
  segmentsLoaded: number;
  /** Requests to the origin. */
  httpRequests: number;
  /** Requests to peers. */
  p2pRequests: number;
  /** Connected now. */
  peers: number;
  /** Most that were connected at one time. */
  peersMax: number;
  /** Closed because they misbehaved. */
  peersMisbehaved: number;
  /** Held now. */
  storedSegments: number;
  storedBytes: number;
  trackersConnected: number;
};

/** A segment that a player asked for. */
export type SegmentResponse = {
  data: ArrayBuffer;
  /** Measured, in bits per second: so it is in the official library, whose text says bytes. */
  bandwidth: number;
};

/** Why a player does not get its segment. */
export class CoreRequestError extends Error {
  constructor(readonly type: "failed" | "aborted") {
    super();
  }
}

/** How a player hears of the segment that it asked for. */
export type EngineCallbacks = LoadProgress & {
  /** Called once, with all bytes. The buffer is the player's own. */
  onSuccess: (response: SegmentResponse) => void;
  /** Called once in place of `onSuccess`. */
  onError: (reason: CoreRequestError) => void;
};

/** How a player follows a segment on its way; ours. `onSuccess` follows all the same. */
export type LoadProgress = {
  /** Called with a number of bytes whenever some came. */
  onProgress?: (bytesLength: number) => void;
  /** Called with the bytes as they come, in order. They are the player's own, at the price of a copy. */
  onChunk?: (bytes: Uint8Array) => void;
};

/** A store of segments, as the official library has it. All ids are those of peers: swarm id, stream id, external id. */
export interface SegmentStorage {
  initialize(coreConfig: CommonCoreConfig, mainStreamConfig: StreamConfig, secondaryStreamConfig: StreamConfig): Promise<void>;
  onPlaybackUpdated(position: number, rate: number): void;
  onSegmentRequested(
    swarmId: string,
    streamId: string,
    segmentId: number,
    startTime: number,
    endTime: number,
    streamType: StreamType,
    isLiveStream: boolean,
  ): void;
  storeSegment(
    swarmId: string,
    streamId: string,
    segmentId: number,
    data: ArrayBuffer,
    startTime: number,
    endTime: number,
    streamType: StreamType,
    isLiveStream: boolean,
  ): Promise<void>;
  getSegmentData(swarmId: string, streamId: string, segmentId: number): Promise<ArrayBuffer | undefined>;
  /** In MiB. */
  getUsage(): { totalCapacity: number; usedCapacity: number };
  /** Ours: the engine needs the room that this segment takes. A store without this call makes room by itself. */
  removeSegment?(swarmId: string, streamId: string, segmentId: number): void;
  hasSegment(swarmId: string, streamId: string, segmentId: number): boolean;
  getStoredSegmentIds(swarmId: string, streamId: string): number[];
  setSegmentChangeCallback(callback: (streamId: string) => void): void;
  destroy(): void;
}

/** The name that a segment has on a page: its URL, and its byte range where it has one. */
export function segmentRuntimeId(url: string, byteRange?: ByteRange): string {
  return byteRange ? `${url}|${byteRange.start}-${byteRange.end}` : url;
}
