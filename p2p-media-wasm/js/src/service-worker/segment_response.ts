/** Answers a player's request for a segment with what a page's engine has, as it comes. */
import type { SegmentAnswer, SegmentMessage, SegmentWithdrawal } from "./messages.js";
import { type Page, PATIENCE_MS } from "./pages.js";
import { readable } from "./requests.js";

/** An engine that gives no bytes for this long has failed. It waits for peers while there is time, and for parts of segments that are being made. */
const SILENCE_MS = 10_000;

/** Why a page does not serve a segment: it has none there, or something is wrong. */
export type Refusal = "refused" | "slow" | "failed";

/**
 * Asks a page for a segment. Resolves to an answer with the first bytes on their way, or to why there is none; the network is asked then.
 *
 * If the page fails later, the rest comes from the network: players have the beginning already.
 */
export function segmentResponse(page: Page, message: SegmentMessage, request: Request): Promise<Response | Refusal> {
  const { port1: port, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    let body: ReadableStreamDefaultController<Uint8Array> | undefined;
    let type = "";
    let sent = 0;
    let hasEnded = false;
    let timer = setTimeout(() => fail("slow"), PATIENCE_MS);
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => fail("failed"), SILENCE_MS);
    };
    const end = (): void => {
      hasEnded = true;
      clearTimeout(timer);
      port.close();
    };
    const withdraw = (): void => {
      if (hasEnded) return;
      const message: SegmentWithdrawal = { is: "withdrawn" };
      port.postMessage(message);
      end();
    };
    const fail = (why: Refusal): void => {
      withdraw();
      if (hasEnded) end();
      if (body) void goOn(body, request, message, sent);
      else resolve(why);
    };
    const open = (): void => {
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => {
          body = controller;
        },
        cancel: withdraw,
      });
      resolve(new Response(stream, head(message, type)));
    };
    port.onmessage = ({ data }: MessageEvent<SegmentAnswer>) => {
      if (hasEnded) return;
      switch (data.is) {
        case "refused":
          end();
          return resolve("refused");
        case "accepted":
          type = data.type;
          return wait();
        case "chunk":
          wait();
          if (!body) open();
          sent += data.bytes.byteLength;
          return body?.enqueue(new Uint8Array(data.bytes));
        case "end":
          end();
          if (!body) open();
          return body?.close();
        case "failed":
          return fail("failed");
      }
    };
    // Browsers that tell of it here tell sooner than by the stream.
    request.signal?.addEventListener("abort", () => {
      if (hasEnded) return;
      withdraw();
      try {
        body?.error(new DOMException("", "AbortError"));
      } catch {
        // The stream was cancelled already.
      }
      resolve("failed");
    });
    page.send(message, [port2]);
  });
}

function head({ range }: SegmentMessage, type: string): ResponseInit {
  const headers: Record<string, string> = { "Content-Type": type, "Accept-Ranges": "bytes", "Cache-Control": "no-store" };
  if (!range) return { status: 200, headers };
  const { start, end } = range;
  return { status: 206, headers: { ...headers, "Content-Range": `bytes ${start}-${end}/*`, "Content-Length": String(end - start + 1) } };
}

/** Gets from the network what the player has not got yet. An origin that does not serve ranges cannot help: the player hears of an error. */
async function goOn(
  body: ReadableStreamDefaultController<Uint8Array>,
  request: Request,
  { range }: SegmentMessage,
  sent: number,
): Promise<void> {
  try {
    const start = (range?.start ?? 0) + sent;
    if (range && start > range.end) return body.close();
    const headers = new Headers(request.headers);
    headers.set("Range", `bytes=${start}-${range?.end ?? ""}`);
    const response = await fetch(readable(request, headers));
    const isWhole = response.status === 200;
    if (!response.ok || !response.body) throw new TypeError(`the origin answered with status ${response.status}`);
    // Origins that know no ranges send all of it from the beginning.
    let toSkip = isWhole ? start : 0;
    let left = range ? range.end - start + 1 : Infinity;
    const reader = response.body.getReader();
    for (let read = await reader.read(); !read.done && left > 0; read = await reader.read()) {
      const bytes = read.value.subarray(Math.min(toSkip, read.value.length)).subarray(0, left);
      toSkip -= Math.min(toSkip, read.value.length);
      left -= bytes.length;
      if (bytes.length > 0) body.enqueue(bytes);
    }
    if (left > 0 && range) throw new TypeError("the origin sent less than it should");
    body.close();
  } catch (error) {
    try {
      body.error(error);
    } catch {
      // The player has cancelled the stream.
    }
  }
}
