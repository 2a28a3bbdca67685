/** Loads the engine's wasm module, once for the page. */
import initialise, * as glue from "../../generated/engine.js";
import { streamText } from "./stream_id.js";
import type { StreamProperties } from "./types.js";

/** The engine's classes and functions. */
export type EngineModule = typeof glue;

let loaded: EngineModule | undefined;
let loading: Promise<EngineModule> | undefined;

/** The engine, when it is there. Rejects when it cannot be loaded: a browser without WebAssembly, a file that is missing. */
export function loadEngine(): Promise<EngineModule> {
  loading ??= initialise({ module_or_path: new URL("./engine.wasm", import.meta.url) }).then(() => (loaded = glue));
  return loading;
}

/**
 * The id of a stream, which all viewers derive alike from what the manifest says about it.
 *
 * Throws before the engine is loaded: wait for `Core.ready()`, or give the properties to `Core.addStreamIfNoneExists` instead.
 */
export function generateStreamShortId(properties: StreamProperties): string {
  if (!loaded) throw new Error("p2p-media: the engine is not loaded yet");
  return loaded.streamIdOf(streamText(properties));
}

// A page that imports us will play: the module comes while the page gets its manifest. Servers that render pages import us too.
if (typeof document !== "undefined") loadEngine().catch(() => undefined);
