/** How fast segments come, for the player's choice of quality. */

/** Looked back this far, in seconds of loading; the fastest of these counts. */
const WINDOWS_S = [1, 3, 5];
/** Bytes that came before this many seconds of loading are forgotten. */
const LONGEST_WINDOW_S = 5;

type Sample = { at: number; bytes: number };

/** Bytes against a clock that runs only while something is loading: pauses between segments are no lack of bandwidth. */
class Meter {
  private readonly loading = new Set<string>();
  private readonly samples: Sample[] = [];
  /** Seconds of loading before `since`. */
  private total = 0;
  /** When the clock began to run; it stands still while nothing is loading. */
  private since = 0;

  start(transfer: string, now: number): void {
    if (this.loading.size === 0) this.since = now;
    this.loading.add(transfer);
  }

  end(transfer: string, now: number): void {
    if (this.loading.delete(transfer) && this.loading.size === 0) this.total += now - this.since;
  }

  add(bytes: number, now: number): void {
    const at = this.clock(now);
    this.samples.push({ at, bytes });
    while (this.samples.length > 1 && (this.samples[0]?.at ?? at) < at - LONGEST_WINDOW_S) this.samples.shift();
  }

  /** Bytes per second; 0 before anything came. */
  rate(now: number): number {
    const clock = this.clock(now);
    const rates = WINDOWS_S.map((window) => {
      const begin = Math.max(clock - window, 0);
      const bytes = this.samples.reduce((sum, sample) => (sample.at > begin ? sum + sample.bytes : sum), 0);
      return clock > begin ? bytes / (clock - begin) : 0;
    });
    return Math.max(...rates);
  }

  private clock(now: number): number {
    return this.loading.size > 0 ? this.total + now - this.since : this.total;
  }
}

/** Measures all transfers together, and those from the origin alone: peers may give no more than the stream's own bitrate. */
export class BandwidthMeter {
  private readonly all = new Meter();
  private readonly http = new Meter();

  /** A transfer begins. `transfer` names it until it ends. */
  start(transfer: string, isHttp: boolean): void {
    const now = seconds();
    this.all.start(transfer, now);
    if (isHttp) this.http.start(transfer, now);
    else this.http.end(transfer, now);
  }

  /** It ended, one way or another. */
  end(transfer: string): void {
    const now = seconds();
    this.all.end(transfer, now);
    this.http.end(transfer, now);
  }

  /** Bytes came. */
  add(bytes: number, isHttp: boolean): void {
    const now = seconds();
    this.all.add(bytes, now);
    if (isHttp) this.http.add(bytes, now);
  }

  /** Bytes per second; 0 before anything came. */
  rate(): number {
    const now = seconds();
    return Math.max(this.all.rate(now), this.http.rate(now));
  }
}

function seconds(): number {
  return performance.now() / 1000;
}
