// A web server for folders, and for what another server on this machine has: what the example pages and the tests are opened from.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import http from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".mp4": "video/mp4",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".ts": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

/**
 * Serves on `host:port` (0: any free one). `routes` says what is below which path, the longest path first: a folder, the address of a server
 * that is asked in turn, or a function of the request that gives JSON text.
 */
export async function startStaticServer(routes, { port = 0, host = "127.0.0.1" } = {}) {
  const prefixes = Object.keys(routes).sort((a, b) => b.length - a.length);
  const server = http.createServer((request, response) => {
    const path = decodePath(request.url);
    const prefix = prefixes.find((prefix) => path?.startsWith(prefix));
    if (!prefix) return fail(response, 404);
    const target = routes[prefix];
    if (typeof target === "function") return answer(response, target(request));
    if (/^https?:/.test(target)) return forward(request, response, new URL(request.url.slice(prefix.length), target));
    return sendFile(request, response, join(target, path.slice(prefix.length)));
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, host, resolve));
  return {
    url: `http://${host}:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The path without `..`; nothing when it cannot be read. */
function decodePath(url) {
  try {
    return normalize(decodeURIComponent(new URL(url, "http://localhost").pathname)).replaceAll("\\", "/");
  } catch {
    return undefined;
  }
}

async function sendFile(request, response, file) {
  if (!["GET", "HEAD"].includes(request.method)) return fail(response, 405);
  let found = await stat(file).catch(() => undefined);
  if (found?.isDirectory()) {
    file = join(file, "index.html");
    found = await stat(file).catch(() => undefined);
  }
  if (!found?.isFile()) return fail(response, 404);
  response.writeHead(200, {
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "content-length": found.size,
    // A page that is opened again sees what was built since.
    "cache-control": "no-cache",
    "last-modified": found.mtime.toUTCString(),
    "access-control-allow-origin": "*",
    // Modules below a folder may make a Service Worker for the whole site.
    "service-worker-allowed": "/",
  });
  if (request.method === "HEAD") return response.end();
  createReadStream(file).on("error", () => response.destroy()).pipe(response);
}

function answer(response, text) {
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store", "access-control-allow-origin": "*" });
  response.end(text);
}

function forward(request, response, url) {
  const headers = { ...request.headers, host: url.host };
  const asked = http.request(url, { method: request.method, headers }, (answered) => {
    response.writeHead(answered.statusCode, answered.headers);
    answered.pipe(response);
    answered.on("error", () => response.destroy());
  });
  asked.on("error", () => (response.headersSent ? response.destroy() : fail(response, 502)));
  // A player that gives up is not read for any longer.
  response.on("close", () => asked.destroy());
  request.pipe(asked);
}

function fail(response, status) {
  response.writeHead(status, { "content-type": "text/plain", "cache-control": "no-cache" });
  response.end(`${http.STATUS_CODES[status]}\n`);
}
