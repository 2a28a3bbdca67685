/** `P2PServiceWorker`: what a page uses to have any player's segments shared. */
import { Core, type CoreConfig, type CoreEventMap, type CoreStats, type DynamicCoreConfig } from "../core/index.js";
import { EventListeners } from "../core/event_listeners.js";
import { loadManifests, type ManifestsModule } from "./manifests.js";
import type { ManifestAnswer, ManifestMessage, SegmentAnswer, SegmentMessage, Served } from "./messages.js";
import { SharedPresentation } from "./shared_presentation.js";
import { controlledBy, WorkerLink } from "./worker_link.js";

/** Presentations at one time; the one unused for longest makes room. */
const MAX_PRESENTATIONS = 4;
/** When another one is opened, those unused for this long are closed. */
const UNUSED_MS = 600_000;

const EVENTS: readonly (keyof CoreEventMap)[] = [
  "onSegmentLoaded",
  "onSegmentError",
  "onSegmentAbort",
  "onSegmentStart",
  "onPeerConnect",
  "onPeerClose",
  "onPeerError",
  "onChunkDownloaded",
  "onChunkUploaded",
  "onTrackerError",
  "onTrackerWarning",
];

/** What {@link P2PServiceWorker.register} takes; everything may be left out. */
export type P2PServiceWorkerOptions = {
  /** Options of the engine, the same as those of `Core`. */
  core?: CoreConfig;
  /** Where the worker's script is: of this origin. The one beside this module when not given. */
  workerUrl?: string | URL;
  /** Which pages the worker controls; the folder of its script when not given. */
  scope?: string;
  /** Says which manifests are shared, by the URL that the player asks for. All of them when not given. */
  manifests?: (url: string) => boolean;
};

/** Figures of one presentation. */
export type PresentationStats = CoreStats & {
  /** Where its first manifest came from. */
  manifestUrl: string;
};

/**
 * Shares what players on this page play, whichever they are and without their knowing. A Service Worker gives us their requests; this object reads the
 * manifests and runs the engine. Wherever something is missing or fails, requests go to the network as if it were not there.
 *
 * ```js
 * const p2p = await P2PServiceWorker.register({ core: { announceTrackers: ["wss://tracker.example"] }, workerUrl: "/sw.js" });
 * p2p.addEventListener("onPeerConnect", ({ peerId }) => console.log(peerId));
 * // and now start the player
 * ```
 */
export class P2PServiceWorker {
  private static current: P2PServiceWorker | undefined;

  private readonly listeners = new EventListeners<CoreEventMap>();
  private readonly presentations: SharedPresentation[] = [];
  private readonly link: WorkerLink;
  private config: CoreConfig;
  private readers: ManifestsModule | undefined;
  private hasEngine = false;
  private isDestroyed = false;

  private constructor(
    private readonly registration: ServiceWorkerRegistration,
    options: P2PServiceWorkerOptions,
  ) {
    this.config = options.core ?? {};
    const isShared = options.manifests ?? (() => true);
    loadManifests().then(
      (readers) => (this.readers = readers),
      (error: unknown) => console.warn("p2p-media: playing without peers:", error),
    );
    Core.ready().then(
      () => (this.hasEngine = true),
      () => undefined,
    );
    this.link = new WorkerLink({
      served: () => this.served(),
      isBusy: () => this.presentations.length > 0,
      read: (message, port) => void this.read(message, port, isShared),
      answer: (message, port) => this.answer(message, port),
    });
  }

  /** True in a browser and a page where it can work: a secure context with Service Workers and WebRTC. */
  static isSupported(): boolean {
    return isSecureContext && "serviceWorker" in navigator && "RTCPeerConnection" in globalThis && "WebAssembly" in globalThis;
  }

  /**
   * Registers the worker, and resolves when it controls this page, also on the first visit. Players that start then are shared; one that has
   * read its manifest before is not.
   *
   * Rejects when that cannot be. Playback needs nothing of this, so carry on without.
   */
  static async register(options: P2PServiceWorkerOptions = {}): Promise<P2PServiceWorker> {
    if (!this.isSupported()) throw new Error("p2p-media: this page cannot have a Service Worker");
    const workerUrl = options.workerUrl ?? new URL("./service-worker-worker.js", import.meta.url);
    const registration = await navigator.serviceWorker.register(workerUrl, options.scope === undefined ? {} : { scope: options.scope });
    await controlledBy(registration);
    // Two would both answer.
    this.current?.destroy();
    return (this.current = new P2PServiceWorker(registration, options));
  }

  /** Listens to one of the eleven events, of all presentations. */
  addEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.listeners.add(eventName, listener);
  }

  removeEventListener<K extends keyof CoreEventMap>(eventName: K, listener: CoreEventMap[K]): void {
    this.listeners.remove(eventName, listener);
  }

  /** Changes options while running, for what plays now and later. */
  applyDynamicConfig(config: DynamicCoreConfig): void {
    const { mainStream, secondaryStream, ...both } = config;
    this.config = {
      ...this.config,
      ...both,
      mainStream: { ...this.config.mainStream, ...both, ...mainStream },
      secondaryStream: { ...this.config.secondaryStream, ...both, ...secondaryStream },
    };
    for (const presentation of this.presentations) presentation.applyDynamicConfig(config);
  }

  /** Figures of what this page shares. None where another tab's engine serves this page, see the documentation of the package. */
  async getStats(): Promise<PresentationStats[]> {
    const figures = this.presentations.map(async ({ core, manifestUrl }) => ({ manifestUrl, stats: await core.getStats() }));
    return (await Promise.all(figures)).flatMap(({ manifestUrl, stats }) => (stats ? [{ ...stats, manifestUrl }] : []));
  }

  /** Leaves all swarms. Players go on from the network; the worker stays for other pages. */
  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.link.close();
    for (const presentation of this.presentations.splice(0)) presentation.destroy();
    if (P2PServiceWorker.current === this) P2PServiceWorker.current = undefined;
  }

  /** As {@link destroy}, and takes the worker away from all pages once they are closed. */
  async unregister(): Promise<boolean> {
    this.destroy();
    return this.registration.unregister();
  }

  private served(): Served {
    const all = this.presentations.map((presentation) => presentation.served());
    return { directories: all.flatMap(({ directories }) => directories), manifests: all.flatMap(({ manifests }) => manifests) };
  }

  private async read(message: ManifestMessage, port: MessagePort, isShared: (url: string) => boolean): Promise<void> {
    try {
      const readers = this.readers ?? (await loadManifests());
      if (!this.isDestroyed) this.readWith(readers, message, isShared);
    } catch (error) {
      console.warn(`p2p-media: ${message.url} is not shared:`, error);
    }
    const answer: ManifestAnswer = { served: this.served() };
    port.postMessage(answer);
  }

  private readWith(readers: ManifestsModule, message: ManifestMessage, isShared: (url: string) => boolean): void {
    const known = this.presentations.find((presentation) => presentation.names(message.url));
    if (known) return known.read(message);
    if (!isShared(message.url)) return;
    const opened = SharedPresentation.open(readers, message, this.config);
    for (const name of EVENTS) this.passOn(opened.core, name);
    this.makeRoom();
    this.presentations.push(opened);
  }

  private passOn<K extends keyof CoreEventMap>(core: Core, name: K): void {
    const pass = (...parameters: Parameters<CoreEventMap[K]>): void => this.listeners.emit(name, ...parameters);
    core.addEventListener(name, pass as CoreEventMap[K]);
  }

  private makeRoom(): void {
    this.presentations.sort((a, b) => a.lastUsed - b.lastUsed);
    const limit = performance.now() - UNUSED_MS;
    while (this.presentations[0] && (this.presentations.length >= MAX_PRESENTATIONS || this.presentations[0].lastUsed < limit)) {
      this.presentations.shift()?.destroy();
    }
  }

  private answer(message: SegmentMessage, port: MessagePort): void {
    try {
      // The one used last first.
      const byUse = this.hasEngine ? [...this.presentations].sort((a, b) => b.lastUsed - a.lastUsed) : [];
      for (const presentation of byUse) {
        const segment = presentation.find(message.url, message.range);
        if (segment) return presentation.answer(message, segment, port);
      }
    } catch (error) {
      console.warn(`p2p-media: ${message.url} is not shared:`, error);
    }
    const refusal: SegmentAnswer = { is: "refused" };
    port.postMessage(refusal);
  }
}
