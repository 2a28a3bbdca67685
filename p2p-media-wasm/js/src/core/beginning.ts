/**
 * The beginning of a presentation, for which the engine is held back: starting it takes the page's thread just when the player wants its first
 * segment and shows its first picture, with which no peer could help.
 */

/** An engine starts so long after the first segment was wanted at the latest: a slow network leaves the page time for it. */
const LATEST_START_MS = 500;
/** How long a player is left alone with its first segment. */
const FIRST_PICTURE_MS = 150;

export class Beginning {
  /** Resolves when the engine may start. */
  readonly over: Promise<void>;
  private resolve!: () => void;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private endsAt = Infinity;

  constructor() {
    this.over = new Promise((resolve) => (this.resolve = resolve));
  }

  /** A first segment is wanted. */
  wanted(): void {
    this.endWithin(LATEST_START_MS);
  }

  /** A first segment was given to the player. */
  given(): void {
    this.endWithin(FIRST_PICTURE_MS);
  }

  /** Nothing is waited for any more. */
  end(): void {
    clearTimeout(this.timer);
    this.resolve();
  }

  private endWithin(milliseconds: number): void {
    const at = performance.now() + milliseconds;
    if (at >= this.endsAt) return;
    this.endsAt = at;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.end(), milliseconds);
  }
}
