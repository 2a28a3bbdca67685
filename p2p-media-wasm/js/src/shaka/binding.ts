/**
 * A player and the engine that works for it: which presentation is played, where playback stands, and which requests the engine answers.
 */
import type { Core } from "../core/index.js";
import { SegmentLoad } from "./loader.js";
import type { PlayerRequests } from "./player-requests.js";
import { forget, note, noteEngine } from "./registry.js";
import { Session } from "./session.js";
import type {
  AbortableOperation,
  NetworkingEngine,
  ProgressUpdated,
  Request,
  RequestContext,
  RequestFilter,
  Response,
  ResponseFilter,
  Shaka,
  ShakaPlayer,
} from "./shaka-types.js";

/** Segments are registered anew at most so often while playing. */
const REFRESH_MS = 1000;
/** Presentations that were opened in advance and may still be played. */
const MOST_SESSIONS = 8;
/** Playback stands still for want of a segment that begins so little after the playhead, seconds. */
const URGENT_S = 2;

const PLAYBACK_EVENTS = ["play", "playing", "pause", "timeupdate", "ratechange", "seeking", "seeked"];

/** Binds a player to a core until {@link release}. */
export class PlayerBinding {
  /** False once it has been released. */
  isBound = true;
  private readonly networking: NetworkingEngine | null;
  private readonly sessions: Session[] = [];
  private readonly loads = new Set<SegmentLoad>();
  private playing: Session | undefined;
  private media: HTMLMediaElement | null = null;
  private refreshedAt = -Infinity;
  private receivedAt = -Infinity;

  constructor(
    readonly player: ShakaPlayer,
    private readonly shaka: Shaka,
    private readonly core: Core,
    private readonly requests: PlayerRequests,
  ) {
    this.networking = player.getNetworkingEngine() as NetworkingEngine | null;
    if (this.networking) {
      noteEngine(this.networking, this);
      this.networking.registerRequestFilter(this.filterRequest);
      this.networking.registerResponseFilter(this.filterResponse);
    }
    for (const [event, listener] of this.playerListeners) player.addEventListener(event, listener);
    core.addEventListener("onChunkDownloaded", this.onReceived);
  }

  /** Lets go of the player, which plays on without the engine. */
  release(): void {
    this.isBound = false;
    if (this.networking) {
      forget(this.networking);
      this.networking.unregisterRequestFilter(this.filterRequest);
      this.networking.unregisterResponseFilter(this.filterResponse);
    }
    for (const [event, listener] of this.playerListeners) this.player.removeEventListener(event, listener);
    this.core.removeEventListener("onChunkDownloaded", this.onReceived);
    this.leave();
    this.follow(null);
    this.sessions.length = 0;
  }

  /** The player's parser begins to load a manifest. */
  begin(protocol: "hls" | "dash", url: string): Session {
    const session = new Session(protocol, url);
    this.sessions.push(session);
    if (this.sessions.length > MOST_SESSIONS) this.sessions.splice(this.sessions[0] === this.playing ? 1 : 0, 1);
    return session;
  }

  /** The load that answers a segment request, `undefined` when the engine has nothing to do with it. */
  load(
    uri: string,
    request: Request,
    context: RequestContext | undefined,
    progressUpdated: ProgressUpdated,
    loadPlainly: (request: Request) => AbortableOperation<Response>,
  ): AbortableOperation<Response> | undefined {
    const segment = request.method === "HEAD" || request.method === "POST" ? undefined : this.find(uri, request, context);
    if (!segment || !this.core.isSegmentLoadable(segment.runtimeId)) return undefined;
    this.follow(this.player.getMediaElement());
    const isUrgent = () => !this.media || this.media.readyState < 3 || segment.startTime <= this.media.currentTime + URGENT_S;
    const { core, shaka } = this;
    const lastReceivedAt = () => this.receivedAt;
    const load = new SegmentLoad({ core, shaka, segment, uri, request, progressUpdated, loadPlainly, isUrgent, lastReceivedAt });
    this.loads.add(load);
    void load.settled.then(() => this.loads.delete(load));
    return load.operation;
  }

  private find(uri: string, request: Request, context: RequestContext | undefined) {
    const { stream, segment: reference, type, isPreload } = context ?? {};
    if (!stream || !reference || type !== this.shaka.net.NetworkingEngine.AdvancedRequestType.MEDIA_SEGMENT) return undefined;
    const session = this.playing?.owns(stream) ? this.playing : [...this.sessions].reverse().find((session) => session.owns(stream));
    if (!session || (session !== this.playing && this.playing && isPreload)) return undefined;
    // After a failure Shaka turns to the next server, which the engine does not know of.
    if (request.attempt && reference.getUris().length > 1) return undefined;
    if (!isRangeOf(request.headers, reference.getStartByte(), reference.getEndByte())) return undefined;
    if (session !== this.playing) this.enter(session, reference.getStartTime());
    const segment = session.take(stream, reference);
    if (segment) this.requests.observe(segment.url, uri, request);
    return segment;
  }

  private enter(session: Session, startTime: number): void {
    this.leave();
    this.playing = session;
    session.attach(this.core);
    this.onVariantChanged();
    this.follow(this.player.getMediaElement());
    // The media element stands at 0 until the first segment is there.
    const media = this.media;
    if (!media || media.readyState === 0) this.core.updatePlayback(startTime, media && !media.paused ? media.playbackRate : 0);
    else this.onPlayback();
  }

  private leave(): void {
    this.playing?.detach();
    this.playing = undefined;
    for (const load of [...this.loads]) load.leaveEngine();
    this.core.destroy();
  }

  private readonly filterRequest: RequestFilter = (_type, request, context) => note(request, { binding: this, context });

  private readonly filterResponse: ResponseFilter = (type, response) => {
    if (type !== this.shaka.net.NetworkingEngine.RequestType.MANIFEST) return;
    this.sessionOf(response)?.readManifest(response.data, response.uri);
  };

  /** Only one presentation loads at a time as a rule; else the URL tells whose manifest it is. */
  private sessionOf(response: Response): Session | undefined {
    const unopened = this.sessions.filter((session) => session.manifestUrl === undefined);
    const asked = [response.originalUri, ...(response.originalRequest?.uris ?? [])];
    const first = unopened.find((session) => asked.includes(session.requestedUrl));
    return first ?? unopened[unopened.length - 1] ?? this.playing ?? this.sessions[this.sessions.length - 1];
  }

  private readonly onReceived = (): void => {
    this.receivedAt = performance.now();
  };

  private readonly onLoaded = (): void => {
    this.follow(this.player.getMediaElement());
    if (!this.playing) return;
    this.core.setIsLive(this.player.isLive());
    this.onVariantChanged();
    this.onPlayback();
  };

  private readonly onLoading = (): void => this.leave();

  private readonly onUnloading = (): void => {
    if (this.playing) this.sessions.splice(this.sessions.indexOf(this.playing), 1);
    this.leave();
    this.follow(null);
  };

  private readonly onVariantChanged = (): void => {
    const active = this.player.getVariantTracks().find((track) => track.active);
    if (active && this.playing) this.core.setActiveLevelBitrate(active.bandwidth);
  };

  private readonly playerListeners: [string, () => void][] = [
    ["loaded", this.onLoaded],
    ["loading", this.onLoading],
    ["unloading", this.onUnloading],
    ["adaptation", this.onVariantChanged],
    ["variantchanged", this.onVariantChanged],
  ];

  private follow(media: HTMLMediaElement | null): void {
    if (media === this.media) return;
    for (const event of PLAYBACK_EVENTS) {
      this.media?.removeEventListener(event, this.onPlayback);
      media?.addEventListener(event, this.onPlayback);
    }
    this.media = media;
  }

  private readonly onPlayback = (): void => {
    const { media, playing } = this;
    if (!media || !playing || media.readyState === 0) return;
    this.core.updatePlayback(media.currentTime, media.paused ? 0 : media.playbackRate);
    const now = performance.now();
    if (now - this.refreshedAt < REFRESH_MS) return;
    this.refreshedAt = now;
    playing.refresh(media.currentTime);
  };
}

/** True when the request is for just these bytes. */
function isRangeOf(headers: Record<string, string>, start: number, end: number | null): boolean {
  const name = Object.keys(headers).find((name) => name.toLowerCase() === "range");
  const range = name === undefined ? undefined : headers[name];
  return range === undefined ? start === 0 && end === null : range === `bytes=${start}-${end}`;
}
