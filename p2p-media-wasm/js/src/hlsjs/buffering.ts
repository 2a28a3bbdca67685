/**
 * How far ahead hls.js loads by itself. What it asks for the engine must get; what it does not ask for yet the engine gets from peers, or
 * leaves to others to fetch. So hls.js keeps a smaller buffer than it would by itself, unless the page has said how large it is to be.
 */
import type Hls from "hls.js";
import type { LevelDetails } from "hls.js";

/** Short playlists are no streams to plan for: an announcement, the beginning of a live stream. */
const FEWEST_FRAGMENTS = 5;
/** Segments that the buffer must hold in any case. */
const FEWEST_BUFFERED_SEGMENTS = 2;

/** Sets the length of hls.js's buffer for a playlist; `demandWindow`: seconds ahead of the playhead that the engine gets from anywhere. */
export function limitBuffer(hls: Hls, details: LevelDetails, demandWindow: number): void {
  const { config, userConfig } = hls;
  if (userConfig.maxBufferLength || userConfig.maxMaxBufferLength || details.fragments.length < FEWEST_FRAGMENTS) return;
  const length = Math.max(details.targetduration * FEWEST_BUFFERED_SEGMENTS, demandWindow);
  config.maxBufferLength = Math.min(config.maxBufferLength, length);
  config.maxMaxBufferLength = Math.min(config.maxMaxBufferLength, length);
}
