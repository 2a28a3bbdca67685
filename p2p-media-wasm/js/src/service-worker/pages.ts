/**
 * The page halves that the worker knows, and which of them reads a manifest.
 *
 * Tabs that play the same presentation share one engine: that of the tab whose player asked for the manifest first. When that tab goes, another
 * one is given what its player had read, and goes on.
 */
import type { ManifestAnswer, ManifestMessage, Served, ToPage } from "./messages.js";
import { manifestName } from "./requests.js";
import type { Client } from "./worker_scope.js";

/** Longest time that a request waits for a page, and for manifests to be read. */
export const PATIENCE_MS = 300;
/** A page that leaves so many questions in a row unanswered is frozen, or far too busy for others. */
const MAX_UNANSWERED = 2;
/** Manifests remembered of one player, the ones read last. */
const MAX_MANIFESTS = 64;
/** Bytes of them. */
const MAX_MANIFEST_BYTES = 8 << 20;

/** A page half. */
export class Page {
  served: Served = { directories: [], manifests: [] };
  /** Questions in a row that it has left unanswered. */
  unanswered = 0;
  /** Manifests that are being read. */
  readonly reading = new Set<Promise<void>>();

  constructor(readonly client: Client) {}

  /** True when a segment may be at this URL. */
  mayHave(url: string): boolean {
    return this.served.directories.some((directory) => url.startsWith(directory));
  }

  send(message: ToPage, transfer: Transferable[] = []): void {
    this.client.postMessage(message, transfer);
  }

  /** Has a manifest read. Resolves when that is done, or takes too long. */
  read(message: ManifestMessage): Promise<void> {
    const { port1: port, port2 } = new MessageChannel();
    const read = new Promise<void>((resolve) => {
      const timer = setTimeout(() => resolve(), PATIENCE_MS);
      port.onmessage = ({ data }: MessageEvent<ManifestAnswer>) => {
        this.served = data.served;
        clearTimeout(timer);
        port.close();
        resolve();
      };
      // A copy: the text is kept for a page that takes over.
      this.send(message, [port2]);
    }).finally(() => {
      // An answer that comes later still counts.
      this.reading.delete(read);
    });
    this.reading.add(read);
    return read;
  }
}

/** All pages that have a page half, by the id of their client. */
export class Pages {
  private readonly pages = new Map<string, Page>();
  /** What the player of each page has read: the last text by name. */
  private readonly texts = new Map<string, Map<string, ManifestMessage>>();
  private readonly asked = new Set<string>();

  get(clientId: string): Page | undefined {
    return this.pages.get(clientId);
  }

  /** Takes in what a page says of itself. */
  hello(client: Client, served: Served): void {
    let page = this.pages.get(client.id);
    if (!page) this.pages.set(client.id, (page = new Page(client)));
    page.served = served;
    page.unanswered = 0;
  }

  /** A page is gone, or does not serve any more. Others go on with what it served them. */
  async bye(clientId: string): Promise<void> {
    const gone = this.pages.get(clientId);
    this.pages.delete(clientId);
    this.texts.delete(clientId);
    if (gone) await this.takeOver(gone);
  }

  /** Asks a client, once in the worker's life, whether it has a page half that was forgotten. */
  askWho(client: Client | undefined): void {
    if (!client || this.asked.has(client.id)) return;
    this.asked.add(client.id);
    const message: ToPage = { p2pMedia: "who" };
    client.postMessage(message);
  }

  /** Forgets pages that are not there any more: some leave without a word. */
  async sweep(isThere: (clientId: string) => Promise<boolean>): Promise<void> {
    for (const clientId of [...this.pages.keys()]) {
      if (!(await isThere(clientId))) await this.bye(clientId);
    }
  }

  /** The pages that may answer a request of a page's player, the page itself first. */
  candidates(own: Page, url: string): Page[] {
    const others = [...this.pages.values()].filter((page) => page !== own && isReliable(page));
    return [own, ...others].filter((page) => page.mayHave(url));
  }

  /** Resolves when manifests that are being read for this page are read. */
  async manifestsRead(own: Page): Promise<void> {
    const names = this.texts.get(own.client.id);
    const owners = [own, ...this.pages.values()].filter((page) => page === own || page.served.manifests.some((name) => names?.has(name)));
    await Promise.all(owners.flatMap((page) => [...page.reading]));
  }

  /** Has a manifest that the page's player was given read, by the page that reads it already or else by this one. */
  read(own: Page, message: ManifestMessage): Promise<void> {
    const name = manifestName(message.url);
    this.remember(own, name, message);
    return this.readerOf(own, name).read(message);
  }

  /** Notes that a page has answered, or not in time: then another may do better. */
  async note(page: Page, hasAnswered: boolean): Promise<void> {
    page.unanswered = hasAnswered ? 0 : page.unanswered + 1;
    if (page.unanswered === MAX_UNANSWERED) await this.takeOver(page);
  }

  private readerOf(own: Page, name: string): Page {
    if (own.served.manifests.includes(name)) return own;
    const others = [...this.pages.values()].filter(isReliable);
    return others.find((page) => page.served.manifests.includes(name)) ?? own;
  }

  /** A page whose manifests another one read goes on by itself, and the next such page finds that it is read again. */
  private async takeOver(gone: Page): Promise<void> {
    for (const page of [...this.pages.values()]) {
      if (page === gone) continue;
      const texts = [...(this.texts.get(page.client.id) ?? [])];
      const isRead = (name: string): boolean => page.served.manifests.includes(name) || this.readerOf(page, name) !== page;
      if (!texts.some(([name]) => gone.served.manifests.includes(name) && !isRead(name))) continue;
      await Promise.all(texts.map(([, message]) => page.read(message)));
    }
  }

  private remember(own: Page, name: string, message: ManifestMessage): void {
    const texts = this.texts.get(own.client.id) ?? new Map<string, ManifestMessage>();
    this.texts.set(own.client.id, texts);
    // In the order of the first reading: a multivariant playlist comes before what it lists.
    texts.set(name, message);
    let bytes = [...texts.values()].reduce((sum, { text }) => sum + text.byteLength, 0);
    for (const [oldest, { text }] of texts) {
      if (texts.size <= MAX_MANIFESTS && bytes <= MAX_MANIFEST_BYTES) break;
      bytes -= text.byteLength;
      texts.delete(oldest);
    }
  }
}

function isReliable(page: Page): boolean {
  return page.unanswered < MAX_UNANSWERED;
}
