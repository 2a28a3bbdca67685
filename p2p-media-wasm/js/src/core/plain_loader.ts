/** Loads a segment from the origin without the engine, when that cannot be loaded. */
import { type ByteRange, RequestError, type Segment, type StreamConfig } from "./types.js";

/** The request that the page wants for these bytes, or nothing. */
export async function pageRequest(
  config: StreamConfig,
  segment: Segment,
  signal: AbortSignal,
  range: { start: number; end?: number } | undefined,
): Promise<Request | undefined> {
  return (await config.httpRequestSetup?.(segment.url, segment.byteRange, signal, range)) ?? undefined;
}

/** All bytes of a segment. Rejects when the origin does not give them, after as many attempts as the options say. */
export async function loadPlainly(config: StreamConfig, segment: Segment, signal: AbortSignal): Promise<ArrayBuffer> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt(config, segment, signal);
    } catch (error) {
      if (signal.aborted || failures >= config.httpErrorRetries || (error instanceof RequestError && error.type === "http-unexpected-status-code")) {
        throw error;
      }
    }
  }
}

async function attempt(config: StreamConfig, segment: Segment, signal: AbortSignal): Promise<ArrayBuffer> {
  const range = segment.byteRange;
  const own = await pageRequest(config, segment, signal, range);
  const headers = range && { Range: `bytes=${range.start}-${range.end}` };
  const response = await fetch(own ?? new Request(segment.url, { signal, ...(headers && { headers }) }));
  if (!response.ok) throw new RequestError("http-unexpected-status-code", `the origin answered with status ${response.status}`);
  const data = await response.arrayBuffer();
  const bytes = range && response.status === 200 ? data.slice(range.start, range.end + 1) : data;
  if (range && bytes.byteLength !== lengthOf(range)) throw new RequestError("http-bytes-mismatch");
  if (config.validateHTTPSegment && !(await config.validateHTTPSegment(segment.url, range, bytes))) {
    throw new RequestError("http-segment-validation-failed");
  }
  return bytes;
}

function lengthOf({ start, end }: ByteRange): number {
  return end - start + 1;
}
