// What tests ask of the pages of viewers.

/** How far a video must get to count as playing. */
const PLAYED_SECONDS = 2;

/** Waits until the page's video has gone on by two seconds from now, or is at its end. */
export async function playsOn(page, { seconds = PLAYED_SECONDS, timeout = 60_000 } = {}) {
  const from = await page.ask(() => window.viewer?.state().time ?? 0);
  await page.until(
    ({ from, seconds }) => {
      const state = window.viewer?.state();
      return state && (state.time >= from + seconds || state.ended);
    },
    { argument: { from, seconds }, timeout, what: `playing for ${seconds} s from ${from}` },
  );
}

/** What went wrong with segments, but for silence that was too long: on a busy machine a peer is silent for seconds, and others take over. */
export function segmentFaults({ segmentErrors }) {
  return segmentErrors.filter((error) => !error.endsWith("bytes-receiving-timeout"));
}

/** Waits until a page is connected to that many others. */
export function hasPeers(page, count, options) {
  return page.until((count) => window.viewer.state().peers >= count, { argument: count, what: `${count} peers`, ...options });
}
