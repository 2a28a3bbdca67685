// bittorrent-tracker as a websocket tracker, for `cargo xtask bench tracker`.
// Usage: node --expose-gc bittorrent-tracker.mjs FOLDER-WITH-NODE_MODULES [INTERVAL-SECONDS]
// Prints where it listens; the line `gc` on standard input collects garbage.
import { createInterface } from "node:readline";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, interval = "3600"] = process.argv.slice(2);
const { default: Server } = await import(pathToFileURL(resolve(modules, "node_modules/bittorrent-tracker/server.js")));

// Websocket clients are told a fifth of the interval.
const server = new Server({ udp: false, http: false, ws: true, stats: false, interval: Number(interval) * 5 * 1000 });
server.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
server.listen(0, "127.0.0.1", () => console.log(`tracker: ws://127.0.0.1:${server.ws.address().port}`));
createInterface({ input: process.stdin }).on("line", (line) => line === "gc" && globalThis.gc?.());
