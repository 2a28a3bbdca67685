/** The manifest readers, a wasm module that is loaded once for the page. */
import initialise, * as glue from "../../generated/manifests.js";

/** The readers' classes. */
export type ManifestsModule = typeof glue;

let loading: Promise<ManifestsModule> | undefined;

/** The readers, when they are there. Rejects when they cannot be loaded. */
export function loadManifests(): Promise<ManifestsModule> {
  loading ??= initialise({ module_or_path: new URL("./manifests.wasm", import.meta.url) }).then(() => glue);
  return loading;
}
