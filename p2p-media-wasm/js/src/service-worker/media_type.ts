/** The media type of a segment by its name, for players that look at it. */

const TYPES: Record<string, string> = {
  ts: "video/mp2t",
  m2ts: "video/mp2t",
  mp4: "video/mp4",
  m4s: "video/mp4",
  m4v: "video/mp4",
  cmfv: "video/mp4",
  m4a: "audio/mp4",
  cmfa: "audio/mp4",
  aac: "audio/aac",
  ac3: "audio/ac3",
  ec3: "audio/eac3",
  mp3: "audio/mpeg",
  webm: "video/webm",
  vtt: "text/vtt",
};

export function mediaTypeOf(url: string): string {
  const extension = /\.([a-z0-9]{2,4})$/i.exec(url.split(/[?#]/, 1)[0]!)?.[1]?.toLowerCase();
  return TYPES[extension ?? ""] ?? "application/octet-stream";
}
