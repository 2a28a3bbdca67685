/** The engine of one hls.js instance: it gives hls.js its loaders and follows its events. */
import type Hls from "hls.js";
import type {
  AudioTrackLoadedData,
  AudioTrackUpdatedData,
  Events,
  FragmentLoaderContext,
  HlsConfig,
  HlsListeners,
  Loader,
  PlaylistLoaderContext,
} from "hls.js";
import { Core, type CoreConfig, type CoreEventMap, type CoreStats, type DefinedCoreConfig, type DynamicCoreConfig } from "../core/index.js";
import { Bypass } from "./bypass.js";
import { FragmentLoader, type LoaderSurroundings } from "./fragment-loader.js";
import { type HlsConstructor, type HlsWithP2PClass, withEngine } from "./mixin.js";
import { Playback } from "./playback.js";
import { Streams } from "./streams.js";

/** The whole configuration of an engine. */
export type HlsJsP2PEngineConfig = {
  /** That of its core. */
  core: DefinedCoreConfig;
};

/** The configuration that an engine is made with; what is left out has its default. */
export type PartialHlsJsP2PEngineConfig = Partial<Omit<HlsJsP2PEngineConfig, "core">> & {
  /** That of its core. */
  core?: Partial<CoreConfig>;
};

/** What may change while it runs. */
export type DynamicHlsJsP2PEngineConfig = {
  /** That of its core. */
  core?: DynamicCoreConfig;
};

type LoaderClass<Context extends FragmentLoaderContext | PlaylistLoaderContext> = new (config: HlsConfig) => Loader<Context>;

/** Loaders that a page has set up for itself: they stay in use beneath ours. */
type PageLoaders = { fLoader?: unknown; pLoader?: unknown };

/**
 * Shares the segments that an hls.js instance plays with other viewers of the same stream.
 *
 * @example
 * const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
 * const hls = new HlsWithP2P({ p2p: { core: { swarmId: "my-stream" } } });
 */
export class HlsJsP2PEngine {
  readonly #core: Core;
  readonly #streams: Streams;
  readonly #playback: Playback;
  readonly #bypass = new Bypass();
  #getHls: (() => Hls | undefined) | undefined;
  #hls: Hls | undefined;
  #listeners: (() => void)[] = [];

  /** Makes a class that takes the place of hls.js's: its instances have an engine, `p2pEngine`, and take its options under `p2p`. */
  static injectMixin<HlsType extends HlsConstructor>(hls: HlsType): HlsWithP2PClass<HlsType> {
    return withEngine(hls, (config) => new HlsJsP2PEngine(config));
  }

  constructor(config?: PartialHlsJsP2PEngineConfig) {
    this.#core = new Core(config?.core);
    this.#streams = new Streams(this.#core);
    this.#playback = new Playback(this.#core);
  }

  /** Calls `listener` at each event of this name. */
  addEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.#core.addEventListener(eventName, listener);
  }

  /** Calls `listener` no longer. */
  removeEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.#core.removeEventListener(eventName, listener);
  }

  /** The loaders that hls.js must be configured with; `page`: the configuration that they will be part of, whose own loaders they use. */
  getConfigForHlsJs(page: PageLoaders = {}): { fLoader: any; pLoader: any } {
    return { fLoader: this.#fragmentLoaderClass(page), pLoader: this.#playlistLoaderClass(page) };
  }

  /** The configuration in force. */
  getConfig(): HlsJsP2PEngineConfig {
    return { core: this.#core.getConfig() };
  }

  /** Changes options while running. */
  applyDynamicConfig(dynamicConfig: DynamicHlsJsP2PEngineConfig): void {
    if (dynamicConfig.core) this.#core.applyDynamicConfig(dynamicConfig.core);
  }

  /** Figures since the source was loaded; nothing while no engine runs. */
  getStats(): Promise<CoreStats | undefined> {
    return this.#core.getStats();
  }

  /** Says which hls.js instance it is that uses the loaders: itself, or a function that gives it once there is one. */
  bindHls<T = unknown>(hls: T | (() => T)): void {
    this.#getHls = (typeof hls === "function" ? hls : () => hls) as () => Hls | undefined;
    if (typeof hls !== "function") this.#attach();
  }

  /** Leaves the swarms and the hls.js instance and gives back all that is held. */
  readonly destroy = (): void => {
    for (const stop of this.#listeners) stop();
    this.#listeners = [];
    this.#hls = undefined;
    this.#playback.follow(null);
    this.#reset();
  };

  #reset(): void {
    // Nothing is to be given back before the first manifest.
    if (this.#streams.hasManifest) this.#core.destroy();
    this.#streams.reset();
    this.#playback.reset();
    this.#bypass.reset();
  }

  /** Follows the instance bound at present. A page may replace it by another at any time. */
  #attach(): void {
    const hls = this.#getHls?.();
    if (!hls || hls === this.#hls) return;
    if (this.#hls) this.destroy();
    this.#hls = hls;
    this.#listen(hls);
    this.#playback.follow(hls.media);
  }

  #listen(hls: Hls): void {
    const on = <E extends keyof HlsListeners>(event: E, listener: HlsListeners[E]): void => {
      hls.on(event, listener);
      this.#listeners.push(() => hls.off(event, listener));
    };
    on("hlsManifestLoading" as Events.MANIFEST_LOADING, () => this.#reset());
    on("hlsManifestLoaded" as Events.MANIFEST_LOADED, (_, data) => this.#streams.manifestLoaded(data));
    on("hlsLevelSwitching" as Events.LEVEL_SWITCHING, (_, { bitrate }) => {
      if (bitrate) this.#core.setActiveLevelBitrate(bitrate);
    });
    on("hlsLevelUpdated" as Events.LEVEL_UPDATED, (_, { details, level }) => {
      this.#streams.playlistLoaded(details, hls.levels[level], "main", playlistOptions(hls));
    });
    // The first is sent by hls.js 1.6 and later before it asks for segments, the second by all versions, after.
    const audioLoaded = (_: unknown, data: AudioTrackUpdatedData | AudioTrackLoadedData): void => {
      this.#streams.playlistLoaded(data.details, hls.audioTracks[data.id], "secondary", playlistOptions(hls));
    };
    on("hlsAudioTrackUpdated" as Events.AUDIO_TRACK_UPDATED, audioLoaded);
    on("hlsAudioTrackLoaded" as Events.AUDIO_TRACK_LOADED, audioLoaded);
    on("hlsLevelPtsUpdated" as Events.LEVEL_PTS_UPDATED, (_, { details }) => this.#streams.timesChanged(details, playlistOptions(hls)));
    on("hlsMediaAttached" as Events.MEDIA_ATTACHED, (_, { media }) => this.#playback.follow(media));
    on("hlsMediaDetaching" as Events.MEDIA_DETACHING, () => this.#playback.follow(null));
    on("hlsDestroying" as Events.DESTROYING, this.destroy);
  }

  #fragmentLoaderClass({ fLoader }: PageLoaders): LoaderClass<FragmentLoaderContext> {
    const surroundings: LoaderSurroundings = { core: this.#core, playback: this.#playback, bypass: this.#bypass };
    return class extends FragmentLoader {
      constructor(config: HlsConfig) {
        const Plain = (fLoader ?? config.loader) as LoaderClass<FragmentLoaderContext>;
        super(config, new Plain(config), surroundings);
      }
    };
  }

  /** Playlists are hls.js's own business. But each of its instances makes such a loader before anything else: that is when it is followed. */
  #playlistLoaderClass({ pLoader }: PageLoaders): LoaderClass<PlaylistLoaderContext> {
    const attach = (): void => this.#attach();
    const makeLoader = function (this: unknown, config: HlsConfig): Loader<PlaylistLoaderContext> {
      attach();
      const Plain = (pLoader ?? config.loader) as LoaderClass<PlaylistLoaderContext>;
      return new Plain(config);
    };
    return makeLoader as unknown as LoaderClass<PlaylistLoaderContext>;
  }
}

function playlistOptions(hls: Hls): { hasParts: boolean } {
  return { hasParts: hls.config.lowLatencyMode };
}
