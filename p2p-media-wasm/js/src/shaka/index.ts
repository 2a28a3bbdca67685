/** `p2p-media/shaka`: the engine for Shaka Player. */
export { ShakaP2PEngine } from "./engine.js";
export type { DynamicShakaP2PEngineConfig, PartialShakaEngineConfig, ShakaP2PEngineConfig } from "./engine.js";
export type { ShakaNamespace, ShakaPlayer } from "./shaka-types.js";
