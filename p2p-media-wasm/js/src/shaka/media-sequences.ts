/**
 * The media sequence numbers of the segments of live HLS playlists, read from the playlists themselves: Shaka does not tell them.
 */
import { type ByteRange, segmentRuntimeId } from "../core/index.js";

/** A media playlist as it was last. */
type Listed = {
  /** The number of each segment, by runtime id. */
  numbers: Map<string, number>;
  /** Absolute URLs by what stands in the playlist: most of a live playlist is as before. */
  urls: Map<string, string>;
};

/** What the media playlists of one presentation say. */
export class MediaSequences {
  private readonly playlists = new Map<string, Listed>();
  private readonly numbers = new Map<string, number>();
  private live = false;

  /** True once a playlist was live, also after it has ended: ids stay. */
  get isLive(): boolean {
    return this.live;
  }

  /** Takes in a playlist. Does nothing with other texts, and with one that was never live. */
  read(text: string, url: string): void {
    if (!text.startsWith("#EXTM3U") || !text.includes("#EXTINF")) return;
    this.live ||= !/^#EXT-X-(ENDLIST|PLAYLIST-TYPE:\s*VOD)/m.test(text);
    if (!this.live) return;
    const before = this.playlists.get(url);
    const listed = readSegments(text, url, before?.urls);
    for (const segment of before?.numbers.keys() ?? []) this.numbers.delete(segment);
    this.playlists.set(url, listed);
    for (const [segment, number] of listed.numbers) this.numbers.set(segment, number);
  }

  /** The number of a listed segment. */
  numberOf(url: string, byteRange: ByteRange | undefined): number | undefined {
    return this.numbers.get(segmentRuntimeId(url, byteRange)) ?? this.numbers.get(segmentRuntimeId(resolve(url), byteRange));
  }
}

function readSegments(text: string, playlistUrl: string, known: Map<string, string> | undefined): Listed {
  const listed: Listed = { numbers: new Map(), urls: new Map() };
  let number = 0;
  let range: { length: number; offset: number | undefined } | undefined;
  let lastEnd = 0;
  for (const line of text.split("\n").map((line) => line.trim())) {
    if (!line) continue;
    if (!line.startsWith("#")) {
      const start = range?.offset ?? lastEnd;
      const byteRange = range && { start, end: start + range.length - 1 };
      if (byteRange) lastEnd = byteRange.end + 1;
      const url = listed.urls.get(line) ?? known?.get(line) ?? resolve(line, playlistUrl);
      listed.urls.set(line, url);
      listed.numbers.set(segmentRuntimeId(url, byteRange), number++);
      range = undefined;
      continue;
    }
    const [tag, value] = split(line);
    if (tag === "#EXT-X-MEDIA-SEQUENCE") number = Number.parseInt(value, 10) || 0;
    else if (tag === "#EXT-X-SKIP") number += Number.parseInt(/SKIPPED-SEGMENTS=(\d+)/.exec(value)?.[1] ?? "0", 10);
    else if (tag === "#EXT-X-BYTERANGE") {
      const [length = "", offset] = value.split("@");
      range = { length: Number.parseInt(length, 10), offset: offset === undefined ? undefined : Number.parseInt(offset, 10) };
    }
  }
  return listed;
}

function split(line: string): [string, string] {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
}

/** In the form that browsers give to URLs, which Shaka's resolver does not always keep. */
function resolve(url: string, base?: string): string {
  try {
    return new URL(url, base).href;
  } catch {
    return url;
  }
}
