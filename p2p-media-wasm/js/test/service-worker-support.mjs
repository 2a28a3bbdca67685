// What the tests of the Service Worker share: its modules, and the worker in a scope of the test's own.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { build } from "esbuild";

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "../src/service-worker");

async function bundled(file, format) {
  const { outputFiles } = await build({ entryPoints: [join(SOURCE, file)], bundle: true, write: false, format, target: "es2022", logLevel: "silent" });
  return outputFiles[0].text;
}

/** A module of the sources. */
export async function load(file) {
  return import(`data:text/javascript;base64,${Buffer.from(await bundled(file, "esm")).toString("base64")}`);
}

const workerText = await bundled("worker.ts", "iife");

/** The worker, its clients, and a network that the test answers. */
export class FakeScope {
  listeners = new Map();
  fetched = [];
  clientsById = new Map();
  claimed = 0;

  /** `navigator` is that of the browser: empty where it is not Chromium. */
  constructor(network = () => new Response("from the network"), navigator = {}) {
    const scope = {
      addEventListener: (type, listener) => this.listeners.set(type, listener),
      skipWaiting: async () => {},
      clients: { get: async (id) => this.clientsById.get(id), claim: async () => void this.claimed++ },
    };
    const fetch = async (request) => {
      this.fetched.push(request);
      return network(request);
    };
    const globals = { Response, Request, Headers, ReadableStream, MessageChannel, DOMException, TypeError, setTimeout, clearTimeout };
    const quiet = { ...console, warn() {} };
    vm.runInNewContext(workerText, { self: scope, fetch, console: quiet, navigator, Uint8Array, Error, URL, ...globals });
  }

  /** A client whose page half answers with `answer`, and says that it serves these directories and manifests. */
  client(id, { directories = [], manifests = [], answer = () => {} } = {}) {
    const asked = [];
    const client = {
      id,
      asked,
      postMessage: (message, transfer = []) => {
        const [port] = transfer;
        asked.push(message);
        // As in a browser, messages come later.
        setImmediate(() => answer(message, port, client));
      },
      hello: (served = { directories, manifests }) => this.say(client, { p2pMedia: "hello", served }),
    };
    this.clientsById.set(id, client);
    return client;
  }

  say(client, data) {
    this.dispatch("message", { data, source: client });
  }

  /** What the worker answers a request with; undefined when it leaves it to the browser. */
  async request(clientId, url, init = {}) {
    let response;
    // Node's requests have neither destination nor page.
    const request = Object.create(new Request(url, init), { destination: { value: init.destination ?? "" } });
    const plain = new Request(url, init);
    for (const name of ["url", "method", "mode", "headers", "signal", "credentials"]) Object.defineProperty(request, name, { value: plain[name] });
    this.dispatch("fetch", { request, clientId, respondWith: (answer) => (response = answer) });
    return response;
  }

  dispatch(type, event) {
    this.listeners.get(type)({ waitUntil: (work) => void Promise.resolve(work).catch(() => {}), ...event });
  }
}

/** A page half that accepts, and gives these texts. */
export const giving = (...texts) => (message, port) => {
  if (message.p2pMedia !== "segment") return;
  port.postMessage({ is: "accepted", type: "video/mp4" });
  for (const text of texts) port.postMessage({ is: "chunk", bytes: new TextEncoder().encode(text).buffer });
  port.postMessage({ is: "end" });
};

export const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
