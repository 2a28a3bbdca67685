/**
 * The Service Worker itself: one file, `service-worker-worker.js`, that a site serves from its own origin. Either register it as it is, or
 * load it into a worker that the site has already:
 *
 * ```js
 * importScripts("/p2p-media/service-worker-worker.js");
 * ```
 *
 * It looks only at requests of pages that run the page half, and lets everything pass that it does not know. Engines live in pages, for
 * workers have no RTCPeerConnection.
 */
import type { ManifestMessage, ToWorker } from "./messages.js";
import { answerForElement } from "./element_response.js";
import { type Page, Pages } from "./pages.js";
import {
  isManifestType,
  isOfHlsElement,
  looksLikeManifest,
  manifestName,
  mayBeManifest,
  mayBeServed,
  pageHeaders,
  readable,
  readableCredentials,
  requestedRange,
  timeOfAnswer,
} from "./requests.js";
import { segmentResponse } from "./segment_response.js";
import type { ExtendableEvent, ExtendableMessageEvent, FetchEvent, WorkerScope } from "./worker_scope.js";

const scope = self as unknown as WorkerScope;
const pages = new Pages();
/** Origins whose manifests scripts may not read. */
const unreadable = new Set<string>();
const MAX_UNREADABLE = 100;

scope.addEventListener("install", (event: ExtendableEvent) => event.waitUntil(scope.skipWaiting()));
scope.addEventListener("activate", (event: ExtendableEvent) => event.waitUntil(scope.clients.claim()));

scope.addEventListener("message", (event: ExtendableMessageEvent) => {
  const message = event.data as ToWorker | undefined;
  const client = event.source;
  if (!client || !("id" in client)) return;
  switch (message?.p2pMedia) {
    case "hello":
      pages.hello(client, message.served);
      return event.waitUntil(pages.sweep(isThere));
    case "bye":
      return event.waitUntil(pages.bye(client.id));
    case "claim":
      return event.waitUntil(scope.clients.claim());
  }
});

scope.addEventListener("fetch", (event: FetchEvent) => {
  const { request } = event;
  if (!mayBeServed(request)) return;
  const page = pages.get(event.clientId);
  if (!page) {
    event.waitUntil(scope.clients.get(event.clientId).then((client) => pages.askWho(client)));
    return;
  }
  const mayBeSegment = pages.candidates(page, request.url).length > 0 || page.reading.size > 0;
  const mayBeOfOtherName = !isOfHlsElement(request) && mayBeManifest(request.url);
  if (looksLikeManifest(request.url) || mayBeSegment || mayBeOfOtherName) event.respondWith(respond(event, page));
});

/** The answer to a request that a page may know something of. */
async function respond(event: FetchEvent, page: Page): Promise<Response> {
  const { request } = event;
  const isManifest = looksLikeManifest(request.url) || page.served.manifests.includes(manifestName(request.url));
  if (!isManifest) {
    try {
      const response = await fromPages(event, page);
      if (response) return response;
    } catch (error) {
      console.warn("p2p-media: a request goes to the network:", error);
    }
  }
  const response = isManifest && isOfHlsElement(request) ? await manifestForElement(request) : await fetch(request);
  if (response.status === 200 && (isManifest || (mayBeManifest(request.url) && isManifestType(response.headers.get("content-type"))))) {
    // The player gets its own half at once.
    event.waitUntil(passOn(page, request.url, response.clone()));
  }
  return response;
}

/** A manifest that we can read as well as the element, where its origin lets scripts read it. */
async function manifestForElement(request: Request): Promise<Response> {
  const { origin } = new URL(request.url);
  if (unreadable.has(origin)) return fetch(request);
  const response = await fetch(readable(request, {})).catch(() => undefined);
  if (response?.ok) return response;
  const plain = await fetch(request);
  // Only where the element's own request gets through is it the origin that keeps scripts out, and not the network that is gone.
  if (!response && unreadable.size < MAX_UNREADABLE) unreadable.add(origin);
  return plain;
}

/** A segment from the first page that has it. */
async function fromPages(event: FetchEvent, own: Page): Promise<Response | undefined> {
  const { request, clientId } = event;
  const range = requestedRange(request);
  if (range === null) return undefined;
  // A player is often faster than the reading of the manifest that it has the URL from.
  await pages.manifestsRead(own);
  const credentials = readableCredentials(request);
  for (const page of pages.candidates(own, request.url)) {
    const isOwn = page === own;
    const message = { p2pMedia: "segment", clientId, isOwn, url: request.url, range, headers: pageHeaders(request.headers), credentials } as const;
    let response = await segmentResponse(page, message, request);
    if (response instanceof Response && isOfHlsElement(request)) response = await answerForElement(response);
    event.waitUntil(pages.note(page, response !== "slow"));
    if (response instanceof Response) return response;
    if (response !== "refused") return undefined;
  }
  return undefined;
}

/** Gives a manifest to the page that reads it. */
async function passOn(page: Page, url: string, response: Response): Promise<void> {
  try {
    const text = await response.arrayBuffer();
    const message: ManifestMessage = { p2pMedia: "manifest", url, responseUrl: response.url || url, text, sentAt: timeOfAnswer(response.headers) };
    await pages.read(page, message);
  } catch {
    // The player did not get it either.
  }
}

async function isThere(clientId: string): Promise<boolean> {
  return (await scope.clients.get(clientId)) !== undefined;
}
