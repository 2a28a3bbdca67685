/**
 * Which streams of a Shaka manifest are shared, and the properties that all viewers derive their swarms from.
 */
import type { StreamProperties, StreamType } from "../core/index.js";
import type { Stream, Variant } from "./shaka-types.js";

/** A stream that is shared. */
export type DescribedStream = { stream: Stream; type: StreamType; properties: StreamProperties };

/** Codecs that begin so are not counted as those of a video, which may hold sound too. */
const AUDIO_CODECS = ["mp4a", "ac-3", "ec-3", "ec+3", "opus", "vorb", "flac"];

/**
 * The streams of these variants, each once, with the properties that official viewers take of the first variant that has it.
 *
 * Streams of one DASH manifest with equal properties hold different media; official viewers have one swarm for all of them. It belongs to the
 * first; the k-th has `#k` added to its name. In HLS such streams are copies of each other, for servers that fail.
 *
 * Some versions of Shaka have looked into segments by now; only what `multivariantPlaylist` lists counts then.
 */
export function describeStreams(variants: Iterable<Variant>, protocol: "hls" | "dash", multivariantPlaylist?: string): DescribedStream[] {
  const described = new Map<Stream, DescribedStream>();
  for (const { bandwidth, video, audio } of variants) {
    if (video && !described.has(video)) {
      described.set(video, { stream: video, type: "main", properties: listed(videoProperties(video, bandwidth), multivariantPlaylist) });
    }
    if (audio && !described.has(audio)) {
      const type = video ? "secondary" : "main";
      const properties = video ? audioProperties(audio) : { bitrate: bandwidth };
      described.set(audio, { stream: audio, type, properties });
    }
  }
  const streams = [...described.values()];
  if (protocol === "dash") nameRepetitions(streams);
  return streams;
}

/** The bitrate is that of the variant; without one nothing else counts. */
function videoProperties(video: Stream, bitrate: number): StreamProperties {
  if (!bitrate) return {};
  return {
    bitrate,
    codecs: video.codecs && withoutAudioCodecs(video.codecs),
    width: video.width,
    height: video.height,
    frameRate: video.frameRate,
    videoRange: video.hdr,
  };
}

function listed(properties: StreamProperties, multivariantPlaylist: string | undefined): StreamProperties {
  if (multivariantPlaylist === undefined) return properties;
  const { width, height, frameRate, ...others } = properties;
  const lists = (attribute: string) => multivariantPlaylist.includes(`${attribute}=`);
  return { ...others, ...(lists("RESOLUTION") && { width, height }), ...(lists("FRAME-RATE") && { frameRate }) };
}

function audioProperties(audio: Stream): StreamProperties {
  return {
    codecs: audio.codecs,
    language: audio.language,
    channels: audio.channelsCount ?? undefined,
    name: audio.label ?? audio.originalId ?? undefined,
  };
}

function withoutAudioCodecs(codecs: string): string {
  const all = codecs.split(",").map((codec) => codec.trim().toLowerCase());
  return all.filter((codec) => !AUDIO_CODECS.some((audio) => codec.startsWith(audio))).join(",");
}

function nameRepetitions(streams: DescribedStream[]): void {
  const counts = new Map<string, number>();
  for (const described of streams) {
    const key = `${described.type} ${normalForm(described.properties)}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count > 1) described.properties = { ...described.properties, name: `${described.properties.name ?? ""}#${count}` };
  }
}

/** Equal for properties that give equal stream ids. */
function normalForm(properties: StreamProperties): string {
  const { bitrate, codecs, width, height, language, channels, name, frameRate, videoRange } = properties;
  const tag = (language ?? "").slice(0, 2).toLowerCase();
  return JSON.stringify([
    bitrate ?? 0,
    (codecs ?? "")
      .split(",")
      .map((codec) => codec.trim().toLowerCase())
      .sort(),
    width,
    height,
    language?.toLowerCase() === "und" ? "" : tag,
    String(channels ?? "").split("/")[0],
    (name ?? "").trim().toLowerCase(),
    frameRate === undefined ? "" : Number(frameRate),
    (videoRange ?? "").toUpperCase(),
  ]);
}
