// What the npm package says of itself: its entries, package.json, licences and readme.

import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The modules that a page may import: the file, its source, the path below `p2p-media/`, and its declarations. */
export const ENTRIES = {
  hlsjs: { source: "src/hlsjs/index.ts", path: "./hlsjs", types: "./types/hlsjs/index.d.ts" },
  shaka: { source: "src/shaka/index.ts", path: "./shaka", types: "./types/shaka/index.d.ts" },
  core: { source: "src/core/index.ts", path: "./core", types: "./types/core/index.d.ts" },
  "service-worker": { source: "src/service-worker/index.ts", path: "./service-worker", types: "./types/service-worker/index.d.ts" },
  "service-worker-worker": {
    source: "src/service-worker/worker.ts",
    path: "./service-worker/worker",
    types: "./types/service-worker/worker.d.ts",
  },
};

/** Files of the project that go into the package as they are. */
const COPIED = { "LICENSE-APACHE": "LICENSE-APACHE", "LICENSE-MIT": "LICENSE-MIT", "p2p-media-wasm/README.md": "README.md" };

export function writePackage({ out, version, project }) {
  const modules = Object.entries(ENTRIES).map(([name, { path, types }]) => [path, { types, default: `./${name}.js` }]);
  const manifest = {
    name: "p2p-media",
    version,
    description: "Viewers of one HLS or MPEG-DASH stream share its segments over WebRTC",
    license: "MIT OR Apache-2.0",
    keywords: ["p2p", "hls", "dash", "webrtc", "hls.js", "shaka-player", "streaming", "video"],
    type: "module",
    exports: {
      ...Object.fromEntries(modules),
      // For pages that serve or preload them by themselves.
      "./engine.wasm": "./engine.wasm",
      "./manifests.wasm": "./manifests.wasm",
      "./package.json": "./package.json",
    },
    // Importing a module begins to load the engine; one that is not used may be left out all the same.
    sideEffects: false,
    peerDependencies: { "hls.js": ">=1.5.0 <2", "shaka-player": ">=4.12.0 <6" },
    peerDependenciesMeta: { "hls.js": { optional: true }, "shaka-player": { optional: true } },
  };
  for (const { types } of Object.values(ENTRIES)) {
    if (!existsSync(join(out, types))) throw new Error(`${types} was not written`);
  }
  writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  for (const [from, to] of Object.entries(COPIED)) cpSync(join(project, from), join(out, to));
}
