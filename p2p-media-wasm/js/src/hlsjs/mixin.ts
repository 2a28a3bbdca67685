/** hls.js with the engine inside: a class that takes its place. */
import type { HlsJsP2PEngine, PartialHlsJsP2PEngineConfig } from "./engine.js";

/** A class like that of hls.js. */
export type HlsConstructor = new (...args: any[]) => any;

/** An instance of hls.js with its engine. */
export type HlsWithP2PInstance<HlsType> = HlsType & {
  /** The engine that loads its segments. */
  readonly p2pEngine: HlsJsP2PEngine;
};

/** The configuration of hls.js, and that of the engine beside it. */
export type HlsWithP2PConfig<HlsType extends abstract new (...args: any[]) => unknown> = ConstructorParameters<HlsType>[0] & {
  /** Options of the engine. */
  p2p?: PartialHlsJsP2PEngineConfig & {
    /** Called with each new instance, before it loads anything. */
    onHlsJsCreated?: (hls: HlsWithP2PInstance<InstanceType<HlsType>>) => void;
  };
};

/** What {@link HlsJsP2PEngine.injectMixin} makes of hls.js's class. */
export type HlsWithP2PClass<HlsType extends HlsConstructor> = {
  new (config?: HlsWithP2PConfig<HlsType>): HlsWithP2PInstance<InstanceType<HlsType>>;
} & { [Name in Exclude<keyof HlsType, "prototype">]: HlsType[Name] };

type Options = HlsWithP2PConfig<HlsConstructor>;

/** Makes the class. */
export function withEngine<HlsType extends HlsConstructor>(
  Hls: HlsType,
  makeEngine: (config: PartialHlsJsP2PEngineConfig | undefined) => HlsJsP2PEngine,
): HlsWithP2PClass<HlsType> {
  class HlsWithP2P extends Hls {
    readonly #p2pEngine: HlsJsP2PEngine;

    // TypeScript wants a mixin's constructor to take anything.
    constructor(...args: any[]) {
      const { p2p, ...hlsConfig } = (args[0] ?? {}) as Record<string, unknown> & Options;
      const engine = makeEngine(p2p);
      super({ ...hlsConfig, ...engine.getConfigForHlsJs(hlsConfig) });
      this.#p2pEngine = engine;
      engine.bindHls(this);
      p2p?.onHlsJsCreated?.(this as unknown as HlsWithP2PInstance<InstanceType<HlsConstructor>>);
    }

    get p2pEngine(): HlsJsP2PEngine {
      return this.#p2pEngine;
    }
  }
  return HlsWithP2P as unknown as HlsWithP2PClass<HlsType>;
}
