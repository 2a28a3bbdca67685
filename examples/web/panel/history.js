// Bytes by source over time, in a bounded number of buckets: every second of the last two minutes, and the whole session coarsely.

/** Seconds that the recent history goes back. */
export const RECENT_SECONDS = 120;
/** Buckets of the whole session; when they are full, neighbours are merged and each lasts twice as long. */
const SESSION_BUCKETS = 240;

const SOURCES = ["http", "p2p", "upload"];
const table = (length) => Object.fromEntries(SOURCES.map((source) => [source, new Float64Array(length)]));

export class History {
  #begun = performance.now();
  #recent = table(RECENT_SECONDS);
  /** The second that was written last. */
  #second = 0;
  #session = table(SESSION_BUCKETS);
  #bucketSeconds = 1;

  /** Seconds since the history began. */
  get age() {
    return (performance.now() - this.#begun) / 1000;
  }

  add(source, bytes) {
    this.#advance();
    this.#recent[source][this.#second % RECENT_SECONDS] += bytes;
    this.#session[source][Math.floor(this.#second / this.#bucketSeconds)] += bytes;
  }

  /** Bytes of each whole second, oldest first; the last value is that of the second before this one. */
  recent(source) {
    this.#advance();
    const values = new Float64Array(RECENT_SECONDS - 1);
    for (let i = 0; i < values.length; i++) values[i] = this.#recent[source][(this.#second + 1 + i) % RECENT_SECONDS];
    return values;
  }

  /** Bytes so far at the end of each bucket of the session, and how many seconds a bucket lasts. */
  session(source) {
    this.#advance();
    const length = Math.floor(this.#second / this.#bucketSeconds) + 1;
    const totals = new Float64Array(length);
    for (let i = 0, sum = 0; i < length; i++) totals[i] = sum += this.#session[source][i];
    return { totals, bucketSeconds: this.#bucketSeconds };
  }

  /** Brings the buckets up to now: seconds without an event, a background tab or a sleep among them, hold nothing. */
  #advance() {
    const now = Math.floor(this.age);
    for (let second = Math.max(this.#second + 1, now - RECENT_SECONDS + 1); second <= now; second++) {
      for (const source of SOURCES) this.#recent[source][second % RECENT_SECONDS] = 0;
    }
    this.#second = now;
    while (now / this.#bucketSeconds >= SESSION_BUCKETS) this.#merge();
  }

  #merge() {
    for (const source of SOURCES) {
      const old = this.#session[source];
      const merged = new Float64Array(SESSION_BUCKETS);
      for (let i = 0; i < SESSION_BUCKETS; i++) merged[i >> 1] += old[i];
      this.#session[source] = merged;
    }
    this.#bucketSeconds *= 2;
  }
}
