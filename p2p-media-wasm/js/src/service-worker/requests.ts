/** Which requests the worker looks at, by what a request says of itself. */
import type { OwnRequestMark, RequestedRange } from "./messages.js";

const OWN_REQUEST_MARK: OwnRequestMark = "#p2p-media";

/** Media types of manifests. */
const MANIFEST_TYPES = ["application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl", "application/dash+xml"];
/** What manifests are mostly called. */
const MANIFEST_NAME = /\.(?:m3u8|mpd)$/i;
/** What they are never called: these need no look at the answer. */
const OTHER_NAME = /\.(?:m4[sfiav]|mp4|cmf[avt]|ts|aac|mp3|webm|vtt|key|m?js|css|json|wasm|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|html?)$/i;
/** Headers that browsers and players set by themselves; the others are the page's own. */
const USUAL_HEADER = /^(?:accept|accept-.*|cache-control|cookie|dnt|if-.*|origin|pragma|priority|range|referer|sec-.*|upgrade-insecure-requests|user-agent|x-requested-with)$/;

/**
 * True for what players fetch, and nobody else's business: GETs by script whose answer the script may read, and those of media elements, which
 * browsers with an HLS player of their own make for it. Logins and event streams go their way, and so does what the engine itself asks for.
 */
export function mayBeServed(request: Request): boolean {
  return (
    request.method === "GET" &&
    (isOfHlsElement(request) || (request.destination === "" && (request.mode === "cors" || request.mode === "same-origin"))) &&
    request.url.startsWith("http") &&
    !request.url.endsWith(OWN_REQUEST_MARK) &&
    !request.headers.has("authorization") &&
    request.headers.get("accept") !== "text/event-stream"
  );
}

/**
 * True for a request of a `<video>` or `<audio>` of Chromium's, which plays HLS by itself since version 142 and fetches like any page. Where other
 * browsers have a player of their own, it does not ask us.
 */
export function isOfHlsElement({ destination }: Request): boolean {
  return (destination === "video" || destination === "audio") && "userAgentData" in navigator;
}

/** The request as a script may make it: elements need not be able to read what they play, and the credentials of such requests forbid it. */
export function readable(request: Request, headers: HeadersInit): Request {
  const mode = request.mode === "no-cors" ? "cors" : request.mode;
  return new Request(request.url, { headers, mode, credentials: readableCredentials(request), signal: request.signal });
}

/** The credentials with which a script may ask for what a request asks for. */
export function readableCredentials({ mode, credentials }: Request): RequestCredentials {
  return mode === "no-cors" ? "same-origin" : credentials;
}

/** True for a URL that should be a manifest. */
export function looksLikeManifest(url: string): boolean {
  return MANIFEST_NAME.test(pathOf(url));
}

/** True when an answer may turn out to be a manifest. */
export function mayBeManifest(url: string): boolean {
  return !OTHER_NAME.test(pathOf(url));
}

/** True for the media type of a manifest. */
export function isManifestType(contentType: string | null): boolean {
  return MANIFEST_TYPES.includes((contentType ?? "").split(";", 1)[0]!.trim().toLowerCase());
}

/** What a manifest is known by: its URL without fragment and delivery directives. */
export function manifestName(url: string): string {
  const [path = "", query] = url.split("#", 1)[0]!.split(/\?(.*)/s, 2);
  const kept = (query ?? "").split("&").filter((pair) => !pair.startsWith("_HLS_"));
  return query === undefined || kept.length === 0 ? path : `${path}?${kept.join("&")}`;
}

/**
 * The range that a request asks for: undefined for the whole, null for one that is not a plain range from here to there. Elements ask for the
 * whole as a range without an end; other ranges of theirs are null, for they cannot be answered by us (see `answerForElement`).
 */
export function requestedRange(request: Request): RequestedRange | undefined | null {
  const header = request.headers.get("range")?.trim();
  if (header === undefined) return undefined;
  if (isOfHlsElement(request)) return header === "bytes=0-" ? undefined : null;
  const found = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  if (!found) return null;
  const [start, end] = [Number(found[1]), Number(found[2])];
  return start <= end ? { start, end } : null;
}

/** The headers that the page's player has set. */
export function pageHeaders(headers: Headers): [string, string][] {
  return [...headers].filter(([name]) => !USUAL_HEADER.test(name.toLowerCase()));
}

/** When an answer was made, by its headers: seconds since 1970. One out of a cache has lain there for its `Age` (RFC 9111, section 5.1). */
export function timeOfAnswer(headers: Headers): number | undefined {
  const date = Date.parse(headers.get("date") ?? "");
  const age = Number(headers.get("age") ?? 0);
  return Number.isFinite(date) ? date / 1000 + (Number.isFinite(age) ? age : 0) : undefined;
}

function pathOf(url: string): string {
  return url.split(/[?#]/, 1)[0]!;
}
