/**
 * What the page half and the worker say to each other. Types alone: the worker is a file of its own that shares no code with the page.
 *
 * Every question has a message port of its own, on which it is answered. All that the worker remembers of a page is in one `hello`, so that a
 * worker that the browser has ended and started again needs no more than the next one.
 */

/** Ends the URLs of requests by the engine itself, which the worker leaves alone. Fragments never reach a server. */
export type OwnRequestMark = "#p2p-media";

/** What a page half serves. */
export type Served = {
  /** URLs of directories that have its segments in them, or below. */
  directories: string[];
  /** Names of the manifests that it reads (URLs without fragment and delivery directives). */
  manifests: string[];
};

/** To the worker, from a page half. */
export type ToWorker =
  /** It is there, and serves this. Said again whenever that changes, and every few seconds so that the browser keeps the worker. */
  | { p2pMedia: "hello"; served: Served }
  /** It is going away. */
  | { p2pMedia: "bye" }
  /** The worker should control the page, which was loaded without it. */
  | { p2pMedia: "claim" };

/** A manifest that a player was given. Answered with {@link ManifestAnswer} once it has been read. */
export type ManifestMessage = {
  p2pMedia: "manifest";
  /** What the player asked for. */
  url: string;
  /** Where the answer came from, after redirects. */
  responseUrl: string;
  text: ArrayBuffer;
  /** When it was made, by the origin's clock: seconds since 1970. */
  sentAt: number | undefined;
};

/** What the page half serves now. */
export type ManifestAnswer = { served: Served };

/** Bytes of a request; the end is inclusive. */
export type RequestedRange = { start: number; end: number };

/** A player asks for a URL. Answered with {@link SegmentAnswer}s. */
export type SegmentMessage = {
  p2pMedia: "segment";
  /** The page or tab whose player it is. */
  clientId: string;
  /** True when that is the page that is asked. */
  isOwn: boolean;
  url: string;
  range: RequestedRange | undefined;
  /** The page's own headers. */
  headers: [string, string][];
  credentials: RequestCredentials;
};

/** To a page half. */
export type ToPage =
  | ManifestMessage
  | SegmentMessage
  /** The worker does not know the page: it was started anew. */
  | { p2pMedia: "who" };

/** About a segment, from the page half: refused, or accepted and then chunks and one of the last two. */
export type SegmentAnswer =
  | { is: "refused" }
  | { is: "accepted"; type: string }
  | { is: "chunk"; bytes: ArrayBuffer }
  | { is: "end" }
  | { is: "failed" };

/** About a segment, from the worker: the player does not want it any more. */
export type SegmentWithdrawal = { is: "withdrawn" };
