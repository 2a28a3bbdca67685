/** Finds the media element that plays, in a page whose player we know nothing of. */

/** Time between two searches through shadow trees, which visit every element. */
const DEEP_SEARCH_INTERVAL_MS = 2000;

let lastDeepSearch = -Infinity;
let foundDeep: WeakRef<HTMLMediaElement>[] = [];

/** The element that most likely plays: one with a source, one that is not paused before others, of several the one that has most buffered. */
export function playingElement(): HTMLMediaElement | undefined {
  const found = [...document.querySelectorAll<HTMLMediaElement>("video, audio")].filter(hasMedia);
  const elements = found.length > 0 ? found : deepElements();
  const rank = (element: HTMLMediaElement): number => (element.paused ? 0 : 1e9) + secondsBuffered(element);
  return elements.reduce<HTMLMediaElement | undefined>((best, element) => (best && rank(best) >= rank(element) ? best : element), undefined);
}

/** Seconds of media that an element has from its playhead on, without a gap. */
export function bufferedAhead({ buffered, currentTime }: HTMLMediaElement): number | undefined {
  // Streams seldom begin at exactly zero, and players jump over small gaps.
  const tolerance = 0.5;
  let end: number | undefined;
  for (let i = 0; i < buffered.length; i++) {
    const begins = buffered.start(i) <= (end ?? currentTime) + tolerance;
    if (begins && buffered.end(i) >= currentTime) end = buffered.end(i);
  }
  return end === undefined ? undefined : Math.max(end - currentTime, 0);
}

function hasMedia(element: HTMLMediaElement): boolean {
  return element.readyState > 0 || element.currentSrc !== "" || element.srcObject !== null;
}

function secondsBuffered({ buffered }: HTMLMediaElement): number {
  let seconds = 0;
  for (let i = 0; i < buffered.length; i++) seconds += buffered.end(i) - buffered.start(i);
  return seconds;
}

/** Elements in open shadow trees. */
function deepElements(): HTMLMediaElement[] {
  const now = performance.now();
  if (now - lastDeepSearch >= DEEP_SEARCH_INTERVAL_MS) {
    lastDeepSearch = now;
    foundDeep = [...search(document)].map((element) => new WeakRef(element));
  }
  return foundDeep.map((found) => found.deref()).filter((element) => element !== undefined && element.isConnected && hasMedia(element)) as HTMLMediaElement[];
}

function* search(root: Document | ShadowRoot): Iterable<HTMLMediaElement> {
  for (const element of root.querySelectorAll("*")) {
    if (element instanceof HTMLMediaElement) yield element;
    if (element.shadowRoot) yield* search(element.shadowRoot);
  }
}
