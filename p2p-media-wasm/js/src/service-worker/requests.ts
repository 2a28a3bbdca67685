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
 * True for what players fetch by script, and nobody else's business: whole or partial GETs that the script may read the answer of. Requests of
 * elements, logins and event streams go their way, and so does what the engine itself asks for.
 */
export function mayBeServed(request: Request): boolean {
  return (
    request.method === "GET" &&
    request.destination === "" &&
    (request.mode === "cors" || request.mode === "same-origin") &&
    request.url.startsWith("http") &&
    !request.url.endsWith(OWN_REQUEST_MARK) &&
    !request.headers.has("authorization") &&
    request.headers.get("accept") !== "text/event-stream"
  );
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

/** The range that a request asks for: undefined for the whole, null for one that is not a plain range from here to there. */
export function requestedRange(header: string | null): RequestedRange | undefined | null {
  if (header === null) return undefined;
  const found = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header.trim());
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
