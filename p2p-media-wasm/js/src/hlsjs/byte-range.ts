/** Byte ranges as hls.js has them, with an exclusive end, as ours, with an inclusive one. */
import type { ByteRange } from "../core/index.js";

/** The range of a fragment or of a request for it; `undefined` for whole resources, which requests give as 0 to 0. */
export function byteRangeOf(start: number | undefined, end: number | undefined): ByteRange | undefined {
  return start !== undefined && end !== undefined && start < end ? { start, end: end - 1 } : undefined;
}
