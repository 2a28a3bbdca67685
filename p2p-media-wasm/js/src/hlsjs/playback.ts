/** Tells the engine where playback stands: from the media element and, as long as that has nothing to play, from what hls.js asks for. */
import type { Core } from "../core/index.js";

/** Everything after which position or rate may be others. */
const EVENTS = ["timeupdate", "seeking", "seeked", "ratechange", "play", "playing", "pause", "waiting", "ended"] as const;

/** A stretch of the timeline that fragments and the media element share; seconds. */
export type Stretch = { start: number; end: number };

export class Playback {
  readonly #core: Core;
  #media: HTMLMediaElement | null = null;
  /** What hls.js asked for last. */
  #expected: Stretch | undefined;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Follows a media element, in place of any other; none when null. */
  follow(media: HTMLMediaElement | null): void {
    if (media === this.#media) return;
    for (const event of EVENTS) this.#media?.removeEventListener(event, this.#onEvent);
    this.#media = media;
    for (const event of EVENTS) media?.addEventListener(event, this.#onEvent);
  }

  /** hls.js asks for this stretch. Called before the engine is, which must know how soon it is needed. */
  expect(stretch: Stretch): void {
    this.#expected = { start: stretch.start, end: stretch.end };
    this.#report();
  }

  /** Another source is played, whose timeline is another. */
  reset(): void {
    this.#expected = undefined;
  }

  readonly #onEvent = (event: Event): void => {
    const position = this.#media?.currentTime ?? 0;
    const leavesExpected = this.#expected && (position < this.#expected.start || position > this.#expected.end);
    // hls.js hears of seeks first: what it expects after one is what it asked for because of it.
    if (event.type === "seeking" && leavesExpected) this.#expected = undefined;
    this.#report();
  };

  #report(): void {
    const media = this.#media;
    if (!media && !this.#expected) return;
    // An element that waits for data stands still, whatever its rate.
    const moves = media && !media.paused && media.readyState >= media.HAVE_FUTURE_DATA;
    this.#core.updatePlayback(this.#position(), moves ? media.playbackRate : 0);
  }

  /** The element stands at 0 until the first segment of a live stream is there: then playback begins where hls.js loads. */
  #position(): number {
    const position = this.#media?.currentTime ?? 0;
    const expected = this.#expected;
    if (!expected || (this.#media && hasBuffered(this.#media, position))) return position;
    return Math.min(Math.max(position, expected.start), expected.end);
  }
}

function hasBuffered({ buffered }: HTMLMediaElement, position: number): boolean {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= position && position <= buffered.end(i)) return true;
  }
  return false;
}
