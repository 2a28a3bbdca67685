/**
 * `ShakaP2PEngine`: the class of p2p-media-loader-shaka, with the same names, options and events.
 */
import { Core, type CoreConfig, type CoreEventMap, type DefinedCoreConfig, type DynamicCoreConfig } from "../core/index.js";
import { PlayerBinding } from "./binding.js";
import { PlayerRequests } from "./player-requests.js";
import * as plugins from "./plugins.js";
import type { Shaka, ShakaNamespace, ShakaPlayer } from "./shaka-types.js";

/** Options that may change while running. */
export type DynamicShakaP2PEngineConfig = {
  /** Those of the engine. */
  core?: DynamicCoreConfig;
};

/** Every option with its value. */
export type ShakaP2PEngineConfig = {
  /** Those of the engine. */
  core: DefinedCoreConfig;
};

/** Options, of which those that are absent have their defaults. */
export type PartialShakaEngineConfig = Partial<Omit<ShakaP2PEngineConfig, "core">> & {
  /** Those of the engine. */
  core?: Partial<CoreConfig>;
};

/** How far behind the live edge playback begins, seconds: viewers can share only what they do not all want at the same moment. */
const LIVE_DELAY_S = 25;

/**
 * Shares the segments that a Shaka player loads with the other viewers of the presentation.
 *
 * @example
 * ShakaP2PEngine.registerPlugins(shaka);
 * const player = new shaka.Player();
 * await player.attach(video);
 * const engine = new ShakaP2PEngine({ core: { swarmId: "my stream" } }, shaka);
 * engine.bindShakaPlayer(player);
 * await player.load("https://example.com/manifest.mpd");
 */
export class ShakaP2PEngine {
  private readonly core: Core;
  private readonly shaka: Shaka;
  private readonly requests = new PlayerRequests();
  private binding: PlayerBinding | undefined;

  /**
   * @param config Options; the defaults without.
   * @param shaka The namespace of Shaka Player, `window.shaka` by default.
   */
  constructor(config?: PartialShakaEngineConfig, shaka: ShakaNamespace | undefined = globalShaka()) {
    this.shaka = checked(shaka);
    const { httpRequestSetup = this.requests.setup } = config?.core ?? {};
    this.core = new Core({ ...config?.core, httpRequestSetup });
  }

  /**
   * Works for this player from now on, and no longer for any other. To be called before the player loads a manifest. Sets where live playback
   * begins, unless the page has, and turns off what bypasses Shaka's networking.
   */
  bindShakaPlayer(player: ShakaPlayer): void {
    if (this.binding?.player === player) return;
    this.destroy();
    configure(player);
    this.binding = new PlayerBinding(player, this.shaka, this.core, this.requests);
  }

  /** Changes options while running. */
  applyDynamicConfig(dynamicConfig: DynamicShakaP2PEngineConfig): void {
    if (dynamicConfig.core) this.core.applyDynamicConfig(dynamicConfig.core);
  }

  /** A copy of the options. */
  getConfig(): ShakaP2PEngineConfig {
    const core = this.core.getConfig();
    // Ours is not the page's.
    for (const stream of [core.mainStream, core.secondaryStream]) {
      if (stream.httpRequestSetup === this.requests.setup) delete stream.httpRequestSetup;
    }
    return { core };
  }

  /** Has `listener` called at each event of that name. */
  addEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.core.addEventListener(eventName, listener);
  }

  /** Ends what `addEventListener` began. */
  removeEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.core.removeEventListener(eventName, listener);
  }

  /** Lets go of the player, which plays on without the engine, and of all connections. A player may be bound again. */
  destroy(): void {
    if (this.binding) this.binding.release();
    else this.core.destroy();
    this.binding = undefined;
  }

  /** Puts the plugins into Shaka. To be called once, before players are made. Players without an engine are not touched. */
  static registerPlugins(shaka: ShakaNamespace | undefined = globalShaka()): void {
    plugins.register(checked(shaka));
  }

  /** Takes the plugins out of Shaka again, and puts its own back. */
  static unregisterPlugins(shaka: ShakaNamespace | undefined = globalShaka()): void {
    plugins.unregister(checked(shaka));
  }
}

function globalShaka(): ShakaNamespace | undefined {
  return (globalThis as { shaka?: ShakaNamespace }).shaka;
}

function checked(shaka: ShakaNamespace | undefined): Shaka {
  if (!shaka) throw new Error("Shaka Player is neither given nor in the global variable shaka");
  return shaka as unknown as Shaka;
}

function configure(player: ShakaPlayer): void {
  const { manifest, streaming } = player.getConfiguration() as {
    manifest?: { defaultPresentationDelay?: number };
    streaming?: Record<string, unknown>;
  };
  if (!manifest?.defaultPresentationDelay) {
    player.configure("manifest.defaultPresentationDelay", LIVE_DELAY_S);
    player.configure("manifest.dash.ignoreSuggestedPresentationDelay", true);
  }
  for (const name of ["useNativeHlsOnSafari", "preferNativeHls", "preferNativeDash"]) {
    if (streaming && name in streaming) player.configure(`streaming.${name}`, false);
  }
}
