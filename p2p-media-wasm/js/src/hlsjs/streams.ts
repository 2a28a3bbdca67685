/** The streams of a manifest, and the properties that their ids are made of: those that the official integration takes, under its rules. */
import type { Level, LevelDetails, LevelParsed, ManifestLoadedData, MediaPlaylist } from "hls.js";
import type { Core, StreamProperties, StreamType } from "../core/index.js";
import { addedAndChanged } from "./segments.js";

/** A variant, as the manifest lists it or as hls.js made it. */
type Variant = LevelParsed | Level;
/** Whose media playlist it is. */
type Owner = Variant | MediaPlaylist;

/** How a media playlist is read. */
export type PlaylistOptions = {
  /** hls.js may load the parts of low-latency playlists. */
  readonly hasParts: boolean;
};

export class Streams {
  readonly #core: Core;
  #hasManifest = false;
  /** Streams whose segments are numbered by media sequence number: those that were live when they were first seen. */
  readonly #sequenced = new Set<string>();
  #streamOf = new WeakMap<LevelDetails, string>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** A manifest was loaded since the last reset: the swarms have a name. */
  get hasManifest(): boolean {
    return this.#hasManifest;
  }

  /** Registers all streams of a manifest. */
  manifestLoaded({ levels, audioTracks, networkDetails, url }: ManifestLoadedData): void {
    this.#core.setManifestResponseUrl(responseUrl(networkDetails) ?? url);
    this.#hasManifest = true;
    for (const level of levels) this.#add(level, "main");
    for (const track of audioTracks) this.#add(track, "secondary");
  }

  /** Takes over a media playlist, first loaded or refreshed. */
  playlistLoaded(details: LevelDetails, owner: Owner | undefined, type: StreamType, options: PlaylistOptions): void {
    // A difference to a playlist that hls.js has not put together.
    if (!this.#hasManifest || details.deltaUpdateFailed || details.fragments.some((fragment) => !fragment)) return;
    this.#core.setIsLive(details.live);
    const stream = this.#find(details, owner, type);
    if (stream === undefined) return;
    if (details.live) this.#sequenced.add(stream);
    this.#streamOf.set(details, stream);
    this.#update(stream, details, options);
  }

  /** Takes over the times that hls.js has found in the media itself. */
  timesChanged(details: LevelDetails, options: PlaylistOptions): void {
    const stream = this.#streamOf.get(details);
    if (stream !== undefined) this.#update(stream, details, options);
  }

  /** Forgets everything: another manifest comes, or nothing. */
  reset(): void {
    this.#hasManifest = false;
    this.#sequenced.clear();
    this.#streamOf = new WeakMap();
  }

  #update(streamId: string, details: LevelDetails, { hasParts }: PlaylistOptions): void {
    const known = this.#core.getStream(streamId)?.segments;
    if (!known) return;
    const { changed, gone } = addedAndChanged(details, known, { isSequenced: this.#sequenced.has(streamId), hasParts });
    if (changed.length > 0 || gone.length > 0) this.#core.updateStream(streamId, changed, gone);
  }

  /** The stream of a playlist: by the URL in the manifest, since that of the answer may have been redirected or hold delivery directives. */
  #find(details: LevelDetails, owner: Owner | undefined, type: StreamType): string | undefined {
    const id = owner && urlOf(owner);
    if (id && this.#core.getStream(id)) return id;
    if (this.#core.getStream(details.url)) return details.url;
    // Content steering makes variants and renditions that the manifest does not list.
    return owner && this.#add(owner, type);
  }

  #add(owner: Owner, type: StreamType): string | undefined {
    const runtimeId = urlOf(owner);
    // Audio without a playlist of its own is part of the main stream.
    if (!runtimeId) return undefined;
    const properties = type === "main" ? variantProperties(owner as Variant) : renditionProperties(owner as MediaPlaylist);
    this.#core.addStreamIfNoneExists({ runtimeId, type, index: "" }, properties);
    return runtimeId;
  }
}

function variantProperties(variant: Variant): StreamProperties {
  const { attrs, bitrate, height, videoCodec, width } = variant;
  // A media playlist without a multivariant playlist.
  if (bitrate === 0) return { bitrate };
  // What the manifest lacks is 0 in what hls.js makes of it.
  const isMade = "uri" in variant;
  return {
    // NaN where the playlist lacks BANDWIDTH: the official integration hashes it as such.
    bitrate,
    codecs: videoCodec,
    width: isMade ? width || undefined : width,
    height: isMade ? height || undefined : height,
    frameRate: attrs["FRAME-RATE"],
    videoRange: attrs["VIDEO-RANGE"],
  };
}

function renditionProperties({ audioCodec, channels, lang, name }: MediaPlaylist): StreamProperties {
  return { bitrate: 0, codecs: audioCodec, language: lang, channels, name };
}

function urlOf({ url }: Owner): string | undefined {
  return Array.isArray(url) ? url[0] : url;
}

/** Where an answer came from after redirects. */
function responseUrl(networkDetails: unknown): string | undefined {
  if (typeof XMLHttpRequest !== "undefined" && networkDetails instanceof XMLHttpRequest) return networkDetails.responseURL || undefined;
  if (typeof Response !== "undefined" && networkDetails instanceof Response) return networkDetails.url || undefined;
  return undefined;
}
