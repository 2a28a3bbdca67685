/** The page's half of a running engine: hears its events, keeps and checks segments, sets up requests. Called by src/engine/host.rs. */
import type { BandwidthMeter } from "./bandwidth.js";
import type { EventListeners } from "./event_listeners.js";
import { pageRequest } from "./plain_loader.js";
import type { SegmentStore } from "./segment_store.js";
import type { StreamTable } from "./stream_table.js";
import {
  type CoreEventMap,
  type DefinedCoreConfig,
  RequestError,
  type RequestErrorType,
  type Segment,
  type Stream,
  type StreamConfig,
  type StreamType,
} from "./types.js";

/** What the engine needs of its surroundings. */
export class EngineHost<TStream extends Stream> {
  constructor(
    private readonly streams: StreamTable<TStream>,
    private readonly listeners: EventListeners<CoreEventMap>,
    private readonly bandwidth: BandwidthMeter,
    private readonly store: SegmentStore,
    private readonly config: () => DefinedCoreConfig,
  ) {}

  event(
    name: keyof CoreEventMap,
    secondary: boolean,
    stream: number | undefined,
    id: number | undefined,
    fromPeer: boolean,
    peer: string | undefined,
    amount: number,
    text: string | undefined,
  ): void {
    const streamType: StreamType = secondary ? "secondary" : "main";
    const downloadSource = fromPeer ? "p2p" : "http";
    const transfer = `${stream} ${id}`;
    const segment = stream === undefined || id === undefined ? undefined : this.segment(stream, id);
    const peerId = peer ?? "";
    switch (name) {
      case "onChunkDownloaded":
        this.bandwidth.add(amount, !fromPeer);
        return this.listeners.emit(name, amount, downloadSource, peer);
      case "onChunkUploaded":
        return this.listeners.emit(name, amount, peerId);
      case "onSegmentStart":
        this.bandwidth.start(transfer, !fromPeer);
        if (segment) this.listeners.emit(name, { segment, downloadSource, peerId: peer });
        return;
      case "onSegmentLoaded":
        this.bandwidth.end(transfer);
        if (segment) {
          this.listeners.emit(name, { segmentUrl: segment.url, bytesLength: amount, downloadSource, peerId: peer, streamType });
        }
        return;
      case "onSegmentError":
        this.bandwidth.end(transfer);
        if (segment) {
          const error = new RequestError((text ?? "http-error") as RequestErrorType);
          this.listeners.emit(name, { error, segment, downloadSource, peerId: peer, streamType });
        }
        return;
      case "onSegmentAbort":
        this.bandwidth.end(transfer);
        if (segment) this.listeners.emit(name, { segment, downloadSource, peerId: peer, streamType });
        return;
      case "onPeerConnect":
      case "onPeerClose":
        return this.listeners.emit(name, { peerId, streamType });
      case "onPeerError":
        return this.listeners.emit(name, { peerId, streamType, error: new Error(text) });
      case "onTrackerError":
        return this.listeners.emit(name, { streamType, error: new Error(text) });
      case "onTrackerWarning":
        return this.listeners.emit(name, { streamType, warning: new Error(text) });
    }
  }

  storeSegment(stream: number, id: number, bytes: Uint8Array): Promise<void> | undefined {
    return this.store.store(stream, id, bytes);
  }

  loadSegment(stream: number, id: number): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    return this.store.load(stream, id);
  }

  forgetSegment(stream: number, id: number): void {
    this.store.forget(stream, id);
  }

  async validateSegment(stream: number, id: number, fromPeer: boolean, bytes: Uint8Array): Promise<boolean> {
    const segment = this.segment(stream, id);
    if (!segment) return false;
    const { validateP2PSegment, validateHTTPSegment } = this.streamConfig(stream);
    const validate = fromPeer ? validateP2PSegment : validateHTTPSegment;
    return validate ? validate(segment.url, segment.byteRange, bytes.buffer as ArrayBuffer) : true;
  }

  setUpRequest(url: string, first: number, last: number | undefined, signal: AbortSignal): Promise<Request | undefined> | undefined {
    const { mainStream, secondaryStream } = this.config();
    if (!mainStream.httpRequestSetup && !secondaryStream.httpRequestSetup) return undefined;
    const segment = this.streams.at(url, first);
    const entry = segment && this.streams.ofSegment(segment.runtimeId);
    if (!segment || !entry) return undefined;
    const range = first === 0 && last === undefined ? undefined : { start: first, ...(last !== undefined && { end: last }) };
    return pageRequest(entry.stream.type === "main" ? mainStream : secondaryStream, segment, signal, range);
  }

  private segment(stream: number, id: number): Segment | undefined {
    return this.streams.ofKey(stream)?.byId.get(id);
  }

  private streamConfig(stream: number): StreamConfig {
    const { mainStream, secondaryStream } = this.config();
    return this.streams.ofKey(stream)?.stream.type === "secondary" ? secondaryStream : mainStream;
  }
}
