/**
 * Request filters of a page change what the player asks the origin for (tokens, headers, credentials, another server). The engine's own
 * requests are to look the same, also for segments that the player has not asked for yet.
 */
import type { HttpRequestSetup } from "../core/index.js";
import type { Request as PlayerRequest } from "./shaka-types.js";

/** How a request of the player differed from what the manifest says. */
type Observed = {
  uri: string;
  /** That of the URL in the manifest. */
  origin: string;
  headers: Record<string, string>;
  credentials: boolean;
  /** What URLs begin with in the manifest, and in requests. */
  prefix: [listed: string, requested: string];
  /** Fields of the query that the manifest has not. */
  fields: string[];
};

/** Requests of the player that are remembered. */
const MOST_OBSERVED = 16;

/** What a player's requests look like. */
export class PlayerRequests {
  private readonly observed = new Map<string, Observed>();

  /** The player asks for a segment that the manifest lists under another URL perhaps. */
  observe(listedUrl: string, uri: string, request: PlayerRequest): void {
    const own = Object.entries(request.headers).filter(([name]) => !/^(range|cmcd)/i.test(name));
    const [listed, requested] = [parts(listedUrl), parts(uri)];
    // CMCD is about one request.
    const fields = requested.fields.filter((field) => !listed.fields.includes(field) && !field.startsWith("CMCD="));
    this.observed.delete(listedUrl);
    this.observed.set(listedUrl, {
      uri,
      origin: new URL(listedUrl).origin,
      headers: Object.fromEntries(own),
      credentials: request.allowCrossSiteCredentials ?? false,
      prefix: withoutCommonEnd(listed.path, requested.path),
      fields,
    });
    const [oldest] = this.observed.keys();
    if (this.observed.size > MOST_OBSERVED && oldest !== undefined) this.observed.delete(oldest);
  }

  /** The engine's request: as the player's, if that differs from a plain one. */
  readonly setup: HttpRequestSetup = async (url, _byteRange, signal, range) => {
    const exact = this.observed.get(url);
    // What one server may know is not told to another.
    const { origin } = new URL(url);
    const observed = exact ?? [...this.observed.values()].reverse().find((other) => other.origin === origin);
    if (!observed) return undefined;
    const uri = exact ? exact.uri : alike(url, observed);
    const { credentials } = observed;
    const headers = { ...observed.headers };
    if (uri === url && !credentials && Object.keys(headers).length === 0) return undefined;
    if (range) headers["Range"] = `bytes=${range.start}-${range.end ?? ""}`;
    return new Request(uri, { headers, signal, ...(credentials && { credentials: "include" }) });
  };
}

/** A URL of the manifest, changed in the same way. */
function alike(url: string, { prefix: [from, to], fields }: Observed): string {
  const listed = parts(url);
  const path = listed.path.startsWith(from) ? to + listed.path.slice(from.length) : listed.path;
  const name = (field: string) => field.split("=", 1)[0];
  const query = [...listed.fields.filter((field) => !fields.some((other) => name(other) === name(field))), ...fields];
  return query.length ? `${path}?${query.join("&")}` : path;
}

function parts(url: string): { path: string; fields: string[] } {
  const at = url.indexOf("?");
  return at < 0 ? { path: url, fields: [] } : { path: url.slice(0, at), fields: url.slice(at + 1).split("&") };
}

/** Both without the directories and the name that they end with alike. */
function withoutCommonEnd(a: string, b: string): [string, string] {
  if (a === b) return ["", ""];
  const [left, right] = [a.split("/"), b.split("/")];
  while (left.length > 0 && right.length > 0 && left.at(-1) === right.at(-1)) {
    left.pop();
    right.pop();
  }
  return [left.join("/"), right.join("/")];
}
