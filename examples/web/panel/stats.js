// Counts what an engine's events and a media element tell: the figures behind the panel, and those that tests read.

import { History } from "./history.js";

/** A shorter wait than this is no stall to a viewer. */
const STALL_AFTER_MS = 250;
/** Errors that are kept; a broken source could otherwise fill the memory. */
const MAX_ERRORS = 50;

export class Stats {
  httpBytes = 0;
  p2pBytes = 0;
  uploadedBytes = 0;
  stalls = 0;
  /** From `begin` to the first picture. */
  startupMs = null;
  errors = [];
  /** Peers by id: what has come from each and gone to each, and the kinds of stream that it shares with us. */
  peers = new Map();
  history = new History();
  media = null;
  /** Why the tracker does not introduce us to anyone, or null. */
  trackerTrouble = null;
  #begun = 0;
  #stallTimer = 0;

  constructor() {
    addEventListener("error", (event) => this.error(event.message));
    addEventListener("unhandledrejection", (event) => this.error(event.reason?.message ?? String(event.reason)));
  }

  error(text) {
    if (this.errors.length < MAX_ERRORS) this.errors.push(String(text));
  }

  /** The start-up time counts from here: call it right before the player gets its source. */
  begin() {
    this.#begun = performance.now();
  }

  /** Counts what `engine` loads and sends. It may be any of the package's classes with the eleven events. */
  listen(engine) {
    const on = (name, listener) => engine.addEventListener(name, listener);
    on("onChunkDownloaded", (bytes, source, peerId) => {
      if (source === "p2p") {
        this.p2pBytes += bytes;
        if (peerId) this.#peer(peerId).down += bytes;
      } else {
        this.httpBytes += bytes;
      }
      this.history.add(source === "p2p" ? "p2p" : "http", bytes);
    });
    on("onChunkUploaded", (bytes, peerId) => {
      this.uploadedBytes += bytes;
      if (peerId) this.#peer(peerId).up += bytes;
      this.history.add("upload", bytes);
    });
    on("onPeerConnect", ({ peerId, streamType }) => {
      this.#peer(peerId).kinds.add(streamType);
      this.trackerTrouble = null;
    });
    on("onPeerClose", ({ peerId, streamType }) => {
      const peer = this.peers.get(peerId);
      peer?.kinds.delete(streamType);
      if (!peer?.kinds.size) this.peers.delete(peerId);
    });
    on("onTrackerError", ({ error }) => (this.trackerTrouble = describe(error)));
    on("onTrackerWarning", ({ warning }) => (this.trackerTrouble = describe(warning)));
  }

  /** Follows the element that plays; a later call replaces the element. */
  watch(media) {
    if (this.media === media) return;
    this.media = media;
    const mine = (listener) => () => this.media === media && listener();
    const started = mine(() => (this.startupMs ??= Math.round(performance.now() - this.#begun)));
    // A frame on the screen is the start; where it cannot be observed, the event is.
    if (media.requestVideoFrameCallback) media.requestVideoFrameCallback(started);
    else media.addEventListener("playing", started, { once: true });
    media.addEventListener("waiting", mine(() => this.#waits()));
    for (const name of ["playing", "timeupdate", "pause", "seeking", "ended", "emptied"]) {
      media.addEventListener(name, mine(() => clearTimeout(this.#stallTimer)));
    }
  }

  /** Seconds of media from the playhead on that are there without a gap. */
  get bufferSeconds() {
    const { media } = this;
    if (!media) return 0;
    const { buffered, currentTime } = media;
    for (let i = 0; i < buffered.length; i++) {
      if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime) return buffered.end(i) - currentTime;
    }
    return 0;
  }

  /** Share of the bytes that came from peers, or null before the first byte. */
  get offload() {
    const bytes = this.httpBytes + this.p2pBytes;
    return bytes ? this.p2pBytes / bytes : null;
  }

  /** Viewers that we are connected to. One who shares pictures and sound with us may have an id for each. */
  get viewers() {
    const of = (kind) => [...this.peers.values()].filter(({ kinds }) => kinds.has(kind)).length;
    return Math.max(of("main"), of("secondary"));
  }

  /** Plain figures, as tests read them. */
  snapshot() {
    const { httpBytes, p2pBytes, uploadedBytes, viewers, stalls, startupMs, media, errors } = this;
    return {
      httpBytes,
      p2pBytes,
      uploadedBytes,
      peers: viewers,
      stalls,
      startupMs,
      currentTime: media?.currentTime ?? 0,
      errors: [...errors],
    };
  }

  #peer(id) {
    let peer = this.peers.get(id);
    if (!peer) this.peers.set(id, (peer = { id, kinds: new Set(), down: 0, up: 0 }));
    return peer;
  }

  #waits() {
    const { media } = this;
    if (this.startupMs === null || media.seeking || media.paused || media.ended) return;
    clearTimeout(this.#stallTimer);
    this.#stallTimer = setTimeout(() => this.stalls++, STALL_AFTER_MS);
  }
}

function describe(cause) {
  return cause?.message ?? String(cause ?? "");
}
