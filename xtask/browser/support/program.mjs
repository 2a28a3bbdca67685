// The project's own program as a child process: origin, tracker, native viewers.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long a server may take until it says where it listens. */
const START_TIMEOUT_MS = 60_000;
/** How long figures of the tracker are waited for. */
const STATS_TIMEOUT_MS = 60_000;
/** How long a child may take to leave its swarms. */
const STOP_TIMEOUT_MS = 8_000;

/** Starts `p2p-media serve FOLDER …`; its `url` ends with a slash. */
export async function startOrigin(program, folder, { listen = "127.0.0.1:0", flags = [] } = {}) {
  const child = new Child(program, ["serve", folder, "--listen", listen, ...flags]);
  const [, url] = await child.line(/Serving .* at (http:\S+?\/)(?:\s|$)/);
  return { url, stop: () => child.stop(), stats: async () => (await fetch(new URL("stats.json", url))).json() };
}

/** Starts `p2p-media tracker …`. */
export async function startTracker(program, { listen = "127.0.0.1:0", flags = [] } = {}) {
  const child = new Child(program, ["tracker", "--listen", listen, ...flags]);
  const [, url] = await child.line(/tracker: (ws:\S+)/);
  const stats = async () => (await fetch(new URL("/stats.json", url.replace("ws:", "http:")))).json();
  return {
    url,
    stats,
    stop: () => child.stop(),
    /** Waits until its figures are as a function wants them. */
    async until(condition) {
      const deadline = Date.now() + STATS_TIMEOUT_MS;
      for (let figures; !condition((figures = await stats())); await delay(100)) {
        if (Date.now() > deadline) throw new Error(`the tracker's figures stay ${JSON.stringify(figures)}`);
      }
    },
  };
}

/** Starts `p2p-media watch URL …`; `report` is what it writes when it has watched for so many seconds. */
export function startWatch(program, url, { tracker, seconds, flags = [] }) {
  const folder = mkdtempSync(join(tmpdir(), "p2p-media-watch-"));
  const file = join(folder, "report.json");
  const child = new Child(program, ["watch", url, "--tracker", tracker, "--seconds", String(seconds), "--json", file, ...flags]);
  const report = child.ended
    .then(() => {
      if (!existsSync(file)) throw new Error(`p2p-media watch gave no report:\n${child.output}`);
      return JSON.parse(readFileSync(file, "utf8"));
    })
    .finally(() => rmSync(folder, { recursive: true, force: true }));
  // Whoever stops early does not ask for it.
  report.catch(() => {});
  return { report, pid: child.process.pid, stop: () => child.stop() };
}

class Child {
  output = "";

  constructor(program, parameters) {
    this.name = `p2p-media ${parameters[0]}`;
    this.process = spawn(program, parameters, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on("data", (data) => (this.output += data));
    this.ended = new Promise((resolve, reject) => this.process.once("error", reject).once("close", resolve));
    this.ended.catch(() => {});
  }

  /** Waits until the child has written this. */
  async line(pattern) {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let end;
    const over = this.ended.then(() => (end = true));
    for (;;) {
      const found = pattern.exec(this.output);
      if (found) return found;
      if (end || Date.now() > deadline) break;
      await Promise.race([over, new Promise((resolve) => this.process.stdout.once("data", resolve)), delay(500)]);
    }
    await this.stop();
    throw new Error(`${this.name} did not start:\n${this.output}`);
  }

  /** Asks it to leave, and waits until it is gone. */
  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill("SIGINT");
    const timer = setTimeout(() => this.process.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.ended.catch(() => {});
    clearTimeout(timer);
  }
}

function delay(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
