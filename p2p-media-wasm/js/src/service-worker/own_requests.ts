/** Requests of the engine: marked, so that the worker lets them pass, and otherwise as the page's player makes them. */
import type { CoreConfig, DynamicCoreConfig, HttpRequestSetup } from "../core/index.js";
import type { OwnRequestMark } from "./messages.js";

const MARK: OwnRequestMark = "#p2p-media";

/** What the player's requests have beside their URL. */
export type RequestStyle = { headers: [string, string][]; credentials: RequestCredentials };

/** URL for a request of our own. */
export function markedUrl(url: string): string {
  return url.split("#", 1)[0] + MARK;
}

/** A configuration whose requests are marked; those that the page sets up itself, too. */
export function markRequests(config: CoreConfig, style: RequestStyle): CoreConfig {
  return { ...markChanges(config, style), httpRequestSetup: marked(config.httpRequestSetup, style) };
}

/** The same for a change of the configuration, which may leave the setup of requests as it is. */
export function markChanges<C extends CoreConfig | DynamicCoreConfig>(config: C, style: RequestStyle): C {
  const mark = <T extends { httpRequestSetup?: HttpRequestSetup }>(options: T): T =>
    "httpRequestSetup" in options ? { ...options, httpRequestSetup: marked(options.httpRequestSetup, style) } : options;
  const { mainStream, secondaryStream } = config;
  return mark({ ...config, ...(mainStream && { mainStream: mark(mainStream) }), ...(secondaryStream && { secondaryStream: mark(secondaryStream) }) });
}

function marked(own: HttpRequestSetup | undefined, style: RequestStyle): HttpRequestSetup {
  return async (url, byteRange, signal, range) => {
    const request = await own?.(url, byteRange, signal, range);
    if (request) return new Request(markedUrl(request.url), request);
    const headers = new Headers(style.headers);
    if (range) headers.set("Range", `bytes=${range.start}-${range.end ?? ""}`);
    return new Request(markedUrl(url), { headers, credentials: style.credentials, signal });
  };
}
