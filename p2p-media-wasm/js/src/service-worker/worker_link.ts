/** The page's end of the line to its Service Worker. */
import type { ManifestMessage, SegmentMessage, Served, ToPage, ToWorker } from "./messages.js";

/** Browsers end a worker that has heard nothing for about 30 s, and it forgets its pages. */
const HELLO_INTERVAL_MS = 10_000;
/** Longest wait for a worker to be installed and to take over. */
const CONTROL_TIMEOUT_MS = 15_000;

/** What a page half does for the worker. */
export type PageHalf = {
  served(): Served;
  /** True while there is something to serve. */
  isBusy(): boolean;
  read(message: ManifestMessage, port: MessagePort): void;
  answer(message: SegmentMessage, port: MessagePort): void;
};

export class WorkerLink {
  private readonly timer: number;

  constructor(private readonly half: PageHalf) {
    const { serviceWorker } = navigator;
    serviceWorker.addEventListener("message", this.onMessage);
    serviceWorker.startMessages();
    // A newer version of the worker knows nobody.
    serviceWorker.addEventListener("controllerchange", this.hello);
    addEventListener("pagehide", this.bye);
    addEventListener("pageshow", this.hello);
    document.addEventListener("freeze", this.bye);
    document.addEventListener("resume", this.hello);
    this.timer = window.setInterval(() => {
      if (half.isBusy()) this.hello();
    }, HELLO_INTERVAL_MS);
    this.hello();
  }

  /** Says what is served now. */
  readonly hello = (): void => say({ p2pMedia: "hello", served: this.half.served() });

  close(): void {
    const { serviceWorker } = navigator;
    serviceWorker.removeEventListener("message", this.onMessage);
    serviceWorker.removeEventListener("controllerchange", this.hello);
    removeEventListener("pagehide", this.bye);
    removeEventListener("pageshow", this.hello);
    document.removeEventListener("freeze", this.bye);
    document.removeEventListener("resume", this.hello);
    clearInterval(this.timer);
    this.bye();
  }

  private readonly bye = (): void => say({ p2pMedia: "bye" });

  private readonly onMessage = ({ data, ports: [port] }: MessageEvent<ToPage | undefined>): void => {
    switch (data?.p2pMedia) {
      case "who":
        return this.hello();
      case "manifest":
        if (port) this.half.read(data, port);
        return;
      case "segment":
        if (port) this.half.answer(data, port);
    }
  };
}

/** Waits until the worker of a registration controls this page. Rejects when that will not be. */
export async function controlledBy(registration: ServiceWorkerRegistration): Promise<void> {
  const { serviceWorker } = navigator;
  if (!location.href.startsWith(registration.scope)) {
    throw new Error(
      `p2p-media: the Service Worker's scope ${registration.scope} does not include this page; serve it from a folder above the page, or with the header Service-Worker-Allowed`,
    );
  }
  let timer: number | undefined;
  const isLate = new Promise<never>((_, reject) => {
    timer = window.setTimeout(() => reject(new Error("p2p-media: the Service Worker does not take over")), CONTROL_TIMEOUT_MS);
  });
  try {
    const active = await Promise.race([activeWorker(registration), isLate]);
    if (serviceWorker.controller?.scriptURL === active.scriptURL) return;
    const isControlled = new Promise<void>((resolve) => serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true }));
    // A page that was reloaded past the worker is not claimed by itself.
    const claim: ToWorker = { p2pMedia: "claim" };
    active.postMessage(claim);
    await Promise.race([isControlled, isLate]);
  } finally {
    clearTimeout(timer);
  }
}

async function activeWorker(registration: ServiceWorkerRegistration): Promise<ServiceWorker> {
  if (registration.active) return registration.active;
  const coming = registration.installing ?? registration.waiting;
  if (!coming) throw new Error("p2p-media: the Service Worker is gone");
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (coming.state === "activated" || registration.active) resolve();
      else if (coming.state === "redundant") reject(new Error("p2p-media: the Service Worker could not be installed"));
    };
    coming.addEventListener("statechange", look);
    look();
  });
  return registration.active ?? coming;
}

function say(message: ToWorker): void {
  navigator.serviceWorker.controller?.postMessage(message);
}
