/**
 * What hls.js is told of how a segment came. Its adaptive bitrate control measures each load from request to end, which says nothing when
 * the segment was here already, or when a peer was waited for because there was time. So it is told the speed that the engine measured.
 */
import type { LoaderStats } from "hls.js";

/** Waiting for a peer must not look like a slow origin: hls.js itself assumes 100 ms until it has measured. */
const LONGEST_FIRST_BYTE_WAIT_MS = 100;

/** When a load began and when its first byte came; milliseconds of `performance.now()`. */
export type LoadTimes = { startedAt: number; firstByteAt: number | undefined };

/** Makes the figures of a load look new, for another attempt: loaders refuse to load twice. */
export function resetStats(stats: LoaderStats): void {
  stats.aborted = false;
  stats.loaded = stats.total = stats.chunkCount = 0;
  stats.loading.start = stats.loading.first = stats.loading.end = 0;
}

/** Notes that bytes came, for the watch that hls.js keeps on slow loads. */
export function noteProgress(stats: LoaderStats, bytes: number, now: number): void {
  stats.loading.first ||= now;
  stats.loaded += bytes;
  stats.chunkCount += 1;
}

/** Fills in the figures of a finished load, such that they give the speed measured; the true times where none was. */
export function completeStats(stats: LoaderStats, bytes: number, bitsPerSecond: number, times: LoadTimes, now: number): void {
  const firstByteAt = times.firstByteAt ?? now;
  const isMeasured = Number.isFinite(bitsPerSecond) && bitsPerSecond > 0;
  const wait = Math.max(firstByteAt - times.startedAt, 0);
  const first = isMeasured ? now - (bytes * 8000) / bitsPerSecond : firstByteAt;
  stats.loaded = stats.total = bytes;
  stats.loading.first = first;
  stats.loading.start = first - (isMeasured ? Math.min(wait, LONGEST_FIRST_BYTE_WAIT_MS) : wait);
  stats.loading.end = now;
}
