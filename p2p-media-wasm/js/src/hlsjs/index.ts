/** `p2p-media/hlsjs`: peer-to-peer delivery for hls.js, under the API of p2p-media-loader-hlsjs 2.3. */
export { HlsJsP2PEngine } from "./engine.js";
export type { DynamicHlsJsP2PEngineConfig, HlsJsP2PEngineConfig, PartialHlsJsP2PEngineConfig } from "./engine.js";
export type { HlsConstructor, HlsWithP2PClass, HlsWithP2PConfig, HlsWithP2PInstance } from "./mixin.js";
