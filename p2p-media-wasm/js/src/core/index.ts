/** `p2p-media/core`: the engine for integrations with players. */
export { Core } from "./core.js";
export { generateStreamShortId } from "./engine.js";
export { IndexedDbStorage } from "./indexed_db_storage.js";
export * from "./types.js";
