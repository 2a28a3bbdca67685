/** Loads a segment from the origin without the engine: one that no engine is there for, or the first one, which would only wait for it. */
import { type ByteRange, RequestError, type Segment, type StreamConfig } from "./types.js";

/** More than any segment has, as in the engine: an origin without an end must not fill the page. */
const MAX_BYTES = 256 * 1024 * 1024;

/** All bytes of a segment, and how long they took in milliseconds. */
export type FetchedSegment = {
  data: ArrayBuffer;
  /** From the request to the first byte. */
  responseMs: number;
  /** From the first byte to the last. */
  bodyMs: number;
};

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
      return (await fetchSegment(config, segment, signal)).data;
    } catch (error) {
      if (signal.aborted || failures >= config.httpErrorRetries || (error instanceof RequestError && error.type === "http-unexpected-status-code")) {
        throw error;
      }
    }
  }
}

/** The same in one attempt. Rejects also when no byte comes for as long as the options say. */
export async function fetchSegment(config: StreamConfig, segment: Segment, playerSignal: AbortSignal): Promise<FetchedSegment> {
  const silence = new AbortController();
  const abort = (): void => silence.abort(playerSignal.reason);
  playerSignal.addEventListener("abort", abort);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const listen = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(new RequestError("bytes-receiving-timeout")), config.httpNotReceivingBytesTimeoutMs);
  };
  try {
    return await attempt(config, segment, silence.signal, listen);
  } finally {
    clearTimeout(timer);
    playerSignal.removeEventListener("abort", abort);
  }
}

/** Calls `heard` whenever the origin gives a sign of life. */
async function attempt(config: StreamConfig, segment: Segment, signal: AbortSignal, heard: () => void): Promise<FetchedSegment> {
  const range = segment.byteRange;
  const own = await pageRequest(config, segment, signal, range);
  const headers = range && { Range: `bytes=${range.start}-${range.end}` };
  const beganAt = performance.now();
  heard();
  const response = await fetch(own ?? new Request(segment.url, { signal, ...(headers && { headers }) }));
  if (!response.ok) throw new RequestError("http-unexpected-status-code", `the origin answered with status ${response.status}`);
  const respondedAt = performance.now();
  // An origin that ignores ranges sends the whole resource; what comes after the segment is not waited for.
  const ignoresRange = range !== undefined && response.status === 200;
  const whole = await bodyOf(response, ignoresRange ? range.end + 1 : Infinity, heard);
  const endedAt = performance.now();
  const data = ignoresRange ? whole.slice(range.start, range.end + 1) : whole;
  if (range && data.byteLength !== lengthOf(range)) throw new RequestError("http-bytes-mismatch");
  if (config.validateHTTPSegment && !(await config.validateHTTPSegment(segment.url, range, data))) {
    throw new RequestError("http-segment-validation-failed");
  }
  return { data, responseMs: respondedAt - beganAt, bodyMs: endedAt - respondedAt };
}

/** The body, or its first bytes up to `end` at least. */
async function bodyOf(response: Response, end: number, heard: () => void): Promise<ArrayBuffer> {
  const reader = response.body?.getReader();
  if (!reader) return response.arrayBuffer();
  const pieces: Uint8Array[] = [];
  let size = 0;
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    heard();
    pieces.push(read.value);
    size += read.value.byteLength;
    if (size >= end) {
      void reader.cancel();
      break;
    }
    if (size > MAX_BYTES) {
      void reader.cancel();
      throw new RequestError("http-bytes-mismatch", `the origin sends more than ${MAX_BYTES} bytes`);
    }
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes.buffer;
}

function lengthOf({ start, end }: ByteRange): number {
  return end - start + 1;
}
