/** Keeps segments on disk, for films that are longer than the memory of a device is large. */
import type { SegmentStorage } from "./types.js";

/** What the databases of pages are called. Each page has one of its own, and a lock of that name for as long as it lives. */
const PREFIX = "p2p-media-segments-";
const STORE = "segments";
const MIB = 1_048_576;
/** Most that is kept unless the page says otherwise. */
const DEFAULT_LIMIT_MIB = 4096;

/**
 * A store in IndexedDB: `customSegmentStorageFactory: () => new IndexedDbStorage()`. The engine decides what goes.
 *
 * Segments are gone with the page; what a page left that was killed, the next one clears away.
 */
export class IndexedDbStorage implements SegmentStorage {
  private readonly name = `${PREFIX}${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
  private readonly sizes = new Map<string, { stream: string; id: number; bytes: number }>();
  private database: IDBDatabase | undefined;
  private release: (() => void) | undefined;
  private used = 0;
  private changed: (streamId: string) => void = () => undefined;

  /** `limit` is the most that is kept, in MiB. */
  constructor(private readonly limit = DEFAULT_LIMIT_MIB) {}

  async initialize(): Promise<void> {
    this.release = await holdLock(this.name);
    await clearDeadPages();
    const request = indexedDB.open(this.name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    this.database = await done(request);
  }

  onPlaybackUpdated(): void {}

  onSegmentRequested(): void {}

  async storeSegment(swarmId: string, streamId: string, segmentId: number, data: ArrayBuffer): Promise<void> {
    const key = keyOf(swarmId, streamId, segmentId);
    await done(this.open("readwrite").put(data, key));
    this.forget(key);
    this.sizes.set(key, { stream: `${swarmId} ${streamId}`, id: segmentId, bytes: data.byteLength });
    this.used += data.byteLength;
    this.changed(streamId);
  }

  async getSegmentData(swarmId: string, streamId: string, segmentId: number): Promise<ArrayBuffer | undefined> {
    const data: unknown = await done(this.open("readonly").get(keyOf(swarmId, streamId, segmentId)));
    return data instanceof ArrayBuffer ? data : undefined;
  }

  removeSegment(swarmId: string, streamId: string, segmentId: number): void {
    const key = keyOf(swarmId, streamId, segmentId);
    this.forget(key);
    this.open("readwrite").delete(key);
    this.changed(streamId);
  }

  getUsage(): { totalCapacity: number; usedCapacity: number } {
    return { totalCapacity: this.limit, usedCapacity: this.used / MIB };
  }

  hasSegment(swarmId: string, streamId: string, segmentId: number): boolean {
    return this.sizes.has(keyOf(swarmId, streamId, segmentId));
  }

  getStoredSegmentIds(swarmId: string, streamId: string): number[] {
    const stream = `${swarmId} ${streamId}`;
    return [...this.sizes.values()].filter((stored) => stored.stream === stream).map(({ id }) => id);
  }

  setSegmentChangeCallback(callback: (streamId: string) => void): void {
    this.changed = callback;
  }

  destroy(): void {
    this.sizes.clear();
    this.used = 0;
    this.database?.close();
    this.database = undefined;
    indexedDB.deleteDatabase(this.name);
    this.release?.();
  }

  private open(mode: IDBTransactionMode): IDBObjectStore {
    if (!this.database) throw new Error("the store is not open");
    return this.database.transaction(STORE, mode).objectStore(STORE);
  }

  private forget(key: string): void {
    this.used -= this.sizes.get(key)?.bytes ?? 0;
    this.sizes.delete(key);
  }
}

function keyOf(swarmId: string, streamId: string, segmentId: number): string {
  return `${swarmId} ${streamId} ${segmentId}`;
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB failed"));
  });
}

/** Takes a lock until the function that it gives is called, or the page ends. Where there are no locks, nothing can be told from another. */
async function holdLock(name: string): Promise<(() => void) | undefined> {
  if (!navigator.locks) return undefined;
  return new Promise((resolve) => {
    void navigator.locks.request(name, () => new Promise<void>((release) => resolve(release)));
  });
}

/** Deletes the databases whose page does not live any more. */
async function clearDeadPages(): Promise<void> {
  if (!navigator.locks || !indexedDB.databases) return;
  const names = (await indexedDB.databases()).map(({ name }) => name ?? "").filter((name) => name.startsWith(PREFIX));
  for (const name of names) {
    await navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock) indexedDB.deleteDatabase(name);
    });
  }
}
