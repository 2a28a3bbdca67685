/** Answers for the HLS player of Chromium's media elements. */
import type { Refusal } from "./segment_response.js";

/** A segment beyond this is left to the network, in bytes: it is held in memory three times. */
const MAX_BYTES = 64 << 20;

/**
 * An answer that an element takes. Chromium's HLS player refuses answers that a worker has made itself: they have no URL (measured with version 156). Those
 * that were fetched have one, and a `data:` URL can be fetched; for it the segment must be whole.
 */
export async function answerForElement(response: Response): Promise<Response | Refusal> {
  const type = response.headers.get("content-type") ?? "";
  const bytes = await wholeOf(response).catch(() => undefined);
  // As new as the player: it comes with Chromium 140.
  const text = (bytes as { toBase64?(): string } | undefined)?.toBase64?.();
  return text === undefined ? "failed" : fetch(`data:${type};base64,${text}`);
}

/** The body, or undefined when it is too long. Rejects when it fails. */
async function wholeOf({ body }: Response): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = body!.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    size += read.value.length;
    if (size > MAX_BYTES) {
      await reader.cancel();
      return undefined;
    }
    chunks.push(read.value);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
