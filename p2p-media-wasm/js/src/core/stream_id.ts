/** What the id of a stream is made of. All viewers must derive it alike, also those of the official library, whose rules these are. */
import type { StreamProperties } from "./types.js";

/** The properties of a stream as one text, normalised. The id is the base64 of its SHA-1. */
export function streamText({ bitrate, codecs, width, height, language, channels, name, frameRate, videoRange }: StreamProperties): string {
  return [
    bitrate === undefined ? 0 : bitrate,
    codecs === undefined ? "" : normaliseCodecs(codecs),
    width ?? "",
    height ?? "",
    language === undefined || language === "und" ? "" : language.slice(0, 2).toLowerCase(),
    channels ? String(channels).split("/", 1)[0] : "",
    name?.trim().toLowerCase() ?? "",
    frameRate && !Number.isNaN(Number(frameRate)) ? Number(frameRate) : "",
    videoRange?.trim().toUpperCase() ?? "",
  ].join("-");
}

function normaliseCodecs(codecs: string): string {
  const normalised = codecs.split(",").map((codec) => avcInHex(codec.trim().toLowerCase()));
  return normalised.sort().join(",");
}

/** Rewrites H.264's old decimal notation `avc1.66.30` as `avc1.42001e`. */
function avcInHex(codec: string): string {
  const [, name, profile, level] = /^(avc1?)\.(-?(?:0|[1-9]\d*))\.(-?(?:0|[1-9]\d*))$/.exec(codec) ?? [];
  return name === undefined ? codec : `${name}.${inHex(profile)}00${inHex(level)}`;
}

function inHex(number: string | undefined): string {
  return Number(number).toString(16).padStart(2, "0");
}
