// What the tests of the Shaka integration share: the integration with a core of the test's own, and a Shaka of the test's own.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const CORE_TYPES = join(HERE, "../src/core/types.ts");

/** A core that keeps what it is told, and gives segments when the test says so. */
export class FakeCore {
  static last;
  streams = new Map();
  manifestUrl = undefined;
  isLive = undefined;
  bitrate = undefined;
  isEnabled = true;
  destroyed = 0;
  playback = [];
  loads = [];
  aborted = [];

  constructor(config) {
    this.config = config;
    FakeCore.last = this;
  }

  getConfig = () => ({ mainStream: {}, secondaryStream: {} });
  addEventListener() {}
  removeEventListener() {}
  setManifestResponseUrl = (url) => void (this.manifestUrl = url);
  setIsLive = (isLive) => void (this.isLive = isLive);
  setActiveLevelBitrate = (bitrate) => void (this.bitrate = bitrate);
  updatePlayback = (...playback) => void this.playback.push(playback);
  abortSegmentLoading = (id) => void this.aborted.push(id);
  hasSegment = (id) => [...this.streams.values()].some(({ segments }) => segments.has(id));
  isSegmentLoadable = (id) => this.isEnabled && this.hasSegment(id);

  addStreamIfNoneExists(stream, properties) {
    if (!this.streams.has(stream.runtimeId)) this.streams.set(stream.runtimeId, { ...stream, properties, segments: new Map() });
  }

  updateStream(id, added, removed) {
    const { segments } = this.streams.get(id);
    for (const gone of removed) segments.delete(gone);
    for (const segment of added) {
      for (const old of segments.values()) if (old.externalId === segment.externalId) segments.delete(old.runtimeId);
      segments.set(segment.runtimeId, segment);
    }
  }

  async loadSegment(id, callbacks) {
    this.loads.push({ id, ...callbacks });
  }

  destroy() {
    this.destroyed += 1;
    this.streams.clear();
    this.manifestUrl = undefined;
  }
}
globalThis.FakeCore = FakeCore;

/** The integration, with `FakeCore` as its core, and inner parts of it. */
export const { ShakaP2PEngine, PlayerRequests, SharedStream, MediaSequences, Session, describeStreams } = await bundled();

async function bundled() {
  const parts = ["index", "shared-stream", "media-sequences", "player-requests", "session", "stream-properties"];
  const { outputFiles } = await build({
    stdin: {
      contents: parts.map((name) => `export * from "./${name}.js";`).join("\n"),
      resolveDir: join(HERE, "../src/shaka"),
      loader: "ts",
    },
    bundle: true,
    write: false,
    format: "esm",
    target: "node20",
    plugins: [
      {
        name: "core",
        setup({ onLoad, onResolve }) {
          onResolve({ filter: /core\/index\.js$/ }, () => ({ path: "core", namespace: "fake" }));
          onLoad({ filter: /.*/, namespace: "fake" }, () => ({
            contents: `export * from ${JSON.stringify(CORE_TYPES)}; export const Core = globalThis.FakeCore;`,
            resolveDir: HERE,
          }));
        },
      },
    ],
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

/** A segment reference. */
export function reference(startTime, endTime, url, { range = [0, null], partial = false, status = 0, data = null } = {}) {
  return {
    getStartTime: () => startTime,
    getEndTime: () => endTime,
    getUris: () => [url].flat(),
    getStartByte: () => range[0],
    getEndByte: () => range[1],
    getStatus: () => status,
    isPartial: () => partial,
    getSegmentData: () => data,
  };
}

/** A segment index that makes its references when they are asked for, as Shaka does, and counts how many it has made. */
export class LazyIndex {
  made = 0;
  evicted = 0;
  cache = new Map();

  constructor(count, duration, url = (position) => `https://o.example/${position}.m4s`) {
    Object.assign(this, { count, duration, url });
  }

  find(time) {
    const position = Math.max(Math.floor(time / this.duration), this.evicted);
    return position < this.count ? position : null;
  }

  get(position) {
    if (position < this.evicted || position >= this.count) return null;
    if (!this.cache.has(position)) {
      this.made += 1;
      const start = position * this.duration;
      this.cache.set(position, reference(start, start + this.duration, this.url(position)));
    }
    return this.cache.get(position);
  }
}

/** Playlists, segments and manifests that the origin of a test has, by URL; a redirect is `{ to }`. */
export class FakeShaka {
  requested = [];
  schemes = new Map();
  parsers = new Map();

  constructor(resources = {}) {
    const { parsers, schemes, requested } = this;
    class AbortableOperation {
      constructor(promise, onAbort) {
        this.promise = promise;
        this.abort = onAbort;
      }
    }
    class ShakaError extends globalThis.Error {
      static Severity = { RECOVERABLE: 1 };
      static Category = { NETWORK: 1 };
      static Code = { OPERATION_ABORTED: 7001 };
      constructor(severity, category, code) {
        super(`Shaka error ${code}`);
        Object.assign(this, { severity, category, code });
      }
    }
    this.util = { AbortableOperation, Error: ShakaError };
    const parse = (uri, request) => {
      requested.push([uri, request.method]);
      const answer = async () => {
        const found = resources[uri];
        if (found === undefined) throw new Error(`no ${uri}`);
        const data = new TextEncoder().encode(found.text ?? found);
        if (request.streamDataCallback) for (const byte of data) await request.streamDataCallback(Uint8Array.of(byte));
        return { uri: found.to ?? uri, originalUri: uri, data, headers: {}, originalRequest: request };
      };
      return new AbortableOperation(answer(), async () => undefined);
    };
    this.net = {
      HttpFetchPlugin: { isSupported: () => true, parse },
      HttpXHRPlugin: { parse },
      NetworkingEngine: {
        PluginPriority: { PREFERRED: 3 },
        RequestType: { MANIFEST: 0, SEGMENT: 1 },
        AdvancedRequestType: { INIT_SEGMENT: 0, MEDIA_SEGMENT: 1 },
        registerScheme: (scheme, plugin) => schemes.set(scheme, plugin),
        unregisterScheme: (scheme) => schemes.delete(scheme),
      },
    };
    this.media = {
      ManifestParser: {
        registerParserByMime: (mime, factory) => parsers.set(mime, factory),
        unregisterParserByMime: (mime) => parsers.delete(mime),
      },
    };
    class Parser {
      async start(uri, { networkingEngine }) {
        await networkingEngine.request(0, uri);
        return networkingEngine.manifest;
      }
    }
    this.dash = { DashParser: Parser };
    this.hls = { HlsParser: Parser };
  }

  Player = class {};

  /** A player of a manifest. */
  player(manifest) {
    return new FakePlayer(this, manifest);
  }
}

class FakePlayer extends EventTarget {
  configured = {};
  requestFilters = new Set();
  responseFilters = new Set();
  media = Object.assign(new EventTarget(), { currentTime: 0, playbackRate: 1, paused: true, readyState: 0 });

  constructor(shaka, manifest) {
    super();
    const { requestFilters, responseFilters } = this;
    this.shaka = shaka;
    this.networking = {
      manifest,
      registerRequestFilter: (filter) => requestFilters.add(filter),
      unregisterRequestFilter: (filter) => requestFilters.delete(filter),
      registerResponseFilter: (filter) => responseFilters.add(filter),
      unregisterResponseFilter: (filter) => responseFilters.delete(filter),
      request: async (type, uri) => (await this.request(type, { uris: [uri], method: "GET", headers: {} }).promise),
    };
  }

  getNetworkingEngine = () => this.networking;
  getMediaElement = () => this.media;
  getVariantTracks = () => [{ active: true, bandwidth: 5 }];
  isLive = () => this.networking.manifest.presentationTimeline.isLive();
  configure = (path, value) => Boolean((this.configured[path] = value));
  getConfiguration = () => ({ manifest: { defaultPresentationDelay: 0 }, streaming: { preferNativeHls: true } });

  async load(uri, mime = "application/dash+xml") {
    this.dispatchEvent(new Event("loading"));
    await this.preload(uri, mime);
    this.dispatchEvent(new Event("loaded"));
  }

  preload = (uri, mime = "application/dash+xml") => this.shaka.parsers.get(mime)().start(uri, { networkingEngine: this.networking });

  /** A request as the networking engine makes it; `progress` is called with what the plugin reports. */
  request(type, request, context, progress = () => undefined) {
    for (const filter of this.requestFilters) filter(type, request, context);
    const plugin = this.shaka.schemes.get(new URL(request.uris[0]).protocol.slice(0, -1));
    const operation = plugin(request.uris[0], request, type, progress, () => undefined, {});
    const promise = operation.promise.then((response) => {
      for (const filter of this.responseFilters) filter(type, response, context);
      return response;
    });
    return { promise, abort: () => operation.abort() };
  }

  /** Asks for a segment of a stream. */
  segment(stream, position, { more = {}, context = {}, progress } = {}) {
    const segment = stream.segmentIndex.get(position);
    const request = { uris: segment.getUris(), method: "GET", headers: {}, ...more };
    return this.request(1, request, { type: 1, stream, segment, ...context }, progress);
  }
}

/** A stream with an index. */
export const stream = (id, segmentIndex, more = {}) => ({ id, originalId: String(id), language: "und", codecs: "avc1.4d400d", ...more, segmentIndex });

/** A manifest of these variants. */
export const manifest = (variants, { live = false, start = 0 } = {}) => ({
  variants,
  presentationTimeline: { isLive: () => live, getSegmentAvailabilityStart: () => start },
});
