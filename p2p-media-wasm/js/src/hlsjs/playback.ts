/** Tells the engine where playback stands: by the media element and, until that has something to play, by what hls.js asks for. */
import type { Core } from "../core/index.js";

/** Everything after which position or rate may be others. */
const EVENTS = ["timeupdate", "seeking", "seeked", "ratechange", "play", "playing", "pause", "waiting", "ended"] as const;

export class Playback {
  readonly #core: Core;
  #media: HTMLMediaElement | null = null;
  /** Where the first segment asked for begins: playback will begin there, while the element still stands at 0. */
  #start: number | undefined;
  /** The element has come to where hls.js wants it. */
  #hasBegun = false;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Follows a media element, in place of any other; none when null. */
  follow(media: HTMLMediaElement | null): void {
    if (media === this.#media) return;
    for (const event of EVENTS) this.#media?.removeEventListener(event, this.#onEvent);
    this.#media = media;
    for (const event of EVENTS) media?.addEventListener(event, this.#onEvent);
    if (this.#hasBegun) this.reset();
  }

  /** hls.js asks for what begins at `start`, in seconds. The engine must know how soon that is needed when it is asked in turn. */
  expect(start: number): void {
    this.#start = Math.min(this.#start ?? start, start);
    this.#report();
  }

  /** Seconds of media from where playback stands to `start`. */
  distanceTo(start: number): number {
    return start - this.#position();
  }

  /** Playback begins anew, perhaps on another timeline. */
  reset(): void {
    this.#start = undefined;
    this.#hasBegun = false;
  }

  readonly #onEvent = ({ type }: Event): void => {
    // Also the seek to where a live stream begins.
    if (type === "seeking") this.#hasBegun = true;
    this.#report();
  };

  #report(): void {
    const media = this.#media;
    if (media && hasBuffered(media)) this.#hasBegun = true;
    if (!this.#hasBegun && this.#start === undefined) return;
    // An element that waits for data stands still, whatever its rate.
    const moves = media && !media.paused && media.readyState >= media.HAVE_FUTURE_DATA;
    this.#core.updatePlayback(this.#position(), moves ? media.playbackRate : 0);
  }

  #position(): number {
    const position = this.#media?.currentTime ?? 0;
    return this.#hasBegun ? position : (this.#start ?? position);
  }
}

/** True when an element has something to play where it stands. */
function hasBuffered({ buffered, currentTime }: HTMLMediaElement): boolean {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i)) return true;
  }
  return false;
}
