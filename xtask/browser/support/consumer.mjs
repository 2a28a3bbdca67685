// A project that has installed the package, made in a folder of its own; and what it is built with.

import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PACKAGE } from "./setting.mjs";

const BROWSER_TESTS = fileURLToPath(new URL("..", import.meta.url));
/** What such a project has besides. */
const INSTALLED = ["hls.js", "shaka-player"];

/** Makes the project; the package is a copy, as npm would install it. */
export function makeConsumer() {
  const folder = mkdtempSync(join(tmpdir(), "p2p-media-consumer-"));
  cpSync(join(BROWSER_TESTS, "consumer"), folder, { recursive: true });
  cpSync(join(BROWSER_TESTS, "pages/counters.mjs"), join(folder, "counters.mjs"));
  mkdirSync(join(folder, "node_modules"));
  cpSync(PACKAGE, join(folder, "node_modules/p2p-media"), { recursive: true });
  for (const name of INSTALLED) symlinkSync(join(BROWSER_TESTS, "node_modules", name), join(folder, "node_modules", name), "dir");
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
