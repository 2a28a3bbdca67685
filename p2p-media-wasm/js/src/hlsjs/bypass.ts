/**
 * When segments go around the engine. Its requests are not those of hls.js: an origin may want headers or cookies that only the page's own
 * loader sends. If hls.js gets what the engine could not get, several times in a row, the engine is left alone for a while.
 */

/** Failures in a row, each made good by hls.js's own loader. */
const MOST_FAILURES = 3;
const PAUSE_MS = 60_000;

export class Bypass {
  #failures = 0;
  #until = 0;

  /** True while hls.js should load by itself. */
  isOpen(now = performance.now()): boolean {
    return now < this.#until;
  }

  /** The engine gave a segment. */
  noteSuccess(): void {
    this.#failures = 0;
  }

  /** The engine could not give a segment that hls.js's own loader then got. */
  noteFailure(now = performance.now()): void {
    this.#failures += 1;
    if (this.#failures >= MOST_FAILURES) {
      this.#failures = 0;
      this.#until = now + PAUSE_MS;
    }
  }

  /** Another source is played. */
  reset(): void {
    this.#failures = 0;
    this.#until = 0;
  }
}
