/** What the worker uses of its global scope. The types of pages and of workers cannot be had at once, and nearly all of this is for pages. */

export interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

export interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  readonly clientId: string;
  respondWith(response: Promise<Response>): void;
}

export interface ExtendableMessageEvent extends ExtendableEvent {
  readonly data: unknown;
  readonly source: Client | ServiceWorker | MessagePort | null;
}

/** A page, as its worker sees it. */
export interface Client {
  readonly id: string;
  postMessage(message: unknown, transfer?: Transferable[]): void;
}

export interface WorkerScope {
  readonly clients: { get(id: string): Promise<Client | undefined>; claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(type: "message", listener: (event: ExtendableMessageEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: FetchEvent) => void): void;
}
