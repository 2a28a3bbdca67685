// What the tests of the hls.js integration share: the integration with a core of the test's own, and hls.js itself without a browser.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { coreModule } from "./core-support.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const CORE_TYPES = join(HERE, "../src/core/types.ts");
const FIXTURES = join(HERE, "../../../p2p-media-hls/tests/fixtures");

// What hls.js wants of a browser to load playlists.
globalThis.self = globalThis;
globalThis.location = { href: "http://page.example/" };
globalThis.MediaSource = class {
  static isTypeSupported = () => true;
};
globalThis.SourceBuffer = class {
  appendBuffer() {}
  remove() {}
};
Object.defineProperty(globalThis, "navigator", { value: { userAgent: "test" }, configurable: true });

const { streamText } = await coreModule("stream_id.ts");

/** hls.js; another version where the environment says so. */
export const { default: Hls } = await import(process.env.HLS_JS ?? "hls.js");

/** A file of the fixtures, as text. */
export const fixture = (path) => readFileSync(join(FIXTURES, path), "utf8");

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

  constructor(config = {}) {
    this.config = config;
    FakeCore.last = this;
  }

  addEventListener() {}
  removeEventListener() {}

  setManifestResponseUrl(url) {
    this.manifestUrl = url;
  }

  setIsLive(isLive) {
    this.isLive = isLive;
  }

  setActiveLevelBitrate(bitrate) {
    this.bitrate = bitrate;
  }

  updatePlayback(position, rate) {
    this.playback.push([position, rate]);
  }

  addStreamIfNoneExists(stream, properties) {
    if (this.streams.has(stream.runtimeId)) return;
    this.streams.set(stream.runtimeId, { ...stream, index: streamId(properties), segments: new Map(), updates: [] });
  }

  getStream(id) {
    return this.streams.get(id);
  }

  updateStream(id, added, removed) {
    const stream = this.streams.get(id);
    const update = { add: [...added], remove: [...removed] };
    stream.updates.push(update);
    for (const gone of update.remove) stream.segments.delete(gone);
    for (const segment of update.add) stream.segments.set(segment.runtimeId, segment);
  }

  hasSegment(id) {
    return [...this.streams.values()].some((stream) => stream.segments.has(id));
  }

  isSegmentLoadable(id) {
    return this.isEnabled && this.manifestUrl !== undefined && this.hasSegment(id);
  }

  async loadSegment(id, callbacks) {
    this.loads.push({ id, ...callbacks });
  }

  abortSegmentLoading(id) {
    this.aborted.push(id);
  }

  destroy() {
    this.destroyed += 1;
    this.streams.clear();
    this.manifestUrl = undefined;
  }
}
globalThis.FakeCore = FakeCore;

/** The integration, with `FakeCore` as its core, and inner parts of it. */
export const { HlsJsP2PEngine, FragmentLoader, Playback, Bypass } = await bundled();

async function bundled() {
  const entry = ["index", "fragment-loader", "playback", "bypass"].map((name) => `export * from "./${name}.js";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: join(HERE, "../src/hlsjs"), loader: "ts" },
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

/** The id of a stream, as the core derives it. */
export function streamId(properties) {
  return createHash("sha1").update(streamText(properties)).digest("base64");
}

/** Figures of a load, as hls.js's own loaders have them. */
export const newStats = () => ({
  aborted: false,
  loaded: 0,
  retry: 0,
  total: 0,
  chunkCount: 0,
  bwEstimate: 0,
  loading: { start: 0, first: 0, end: 0 },
  parsing: { start: 0, end: 0 },
  buffering: { start: 0, first: 0, end: 0 },
});

/** A class of loaders, as hls.js takes it, that answers with these texts, by URL; what has none is kept waiting in `waiting`. */
export function loaderOf(texts, waiting = []) {
  return class {
    stats = newStats();
    context = null;

    load(context, config, callbacks) {
      this.context = context;
      this.stats.loading.start = 1;
      const data = texts[context.url];
      if (data === undefined) waiting.push({ loader: this, context, config, callbacks });
      else queueMicrotask(() => callbacks.onSuccess({ url: context.url, data, code: 200 }, this.stats, context, null));
    }

    abort() {
      this.isAborted = true;
    }

    destroy() {
      this.isDestroyed = true;
    }
  };
}

/** Plays a source with hls.js and the integration, without media; gives what is there once `until` holds. */
export async function play(url, texts, { until = () => true, hlsConfig = {}, p2p = {} } = {}) {
  const waiting = [];
  const errors = [];
  const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
  const hls = new HlsWithP2P({ enableWorker: false, startFragPrefetch: true, loader: loaderOf(texts, waiting), ...hlsConfig, p2p });
  const core = FakeCore.last;
  hls.on(Hls.Events.ERROR, (_, { details }) => errors.push(details));
  hls.loadSource(url);
  await settled(() => until({ core, waiting }));
  return { hls, core, waiting, errors };
}

/** Resolves once `holds` gives true; rejects when it does not within some seconds. */
export async function settled(holds) {
  for (let i = 0; i < 400; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("it did not come to pass");
}
