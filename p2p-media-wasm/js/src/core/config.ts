/** Options: defaults, what the page gives, what the engine is told. */
import type { CommonCoreConfig, CoreConfig, DefinedCoreConfig, DynamicCoreConfig, StreamConfig } from "./types.js";

/** Defaults of the options that hold for both kinds of stream. */
export const DEFAULT_COMMON_CORE_CONFIG: CommonCoreConfig = {
  segmentMemoryStorageLimit: undefined,
  customSegmentStorageFactory: undefined,
};

/** Defaults of the options of one kind of stream. */
export const DEFAULT_STREAM_CONFIG: StreamConfig = {
  isP2PUploadDisabled: false,
  isP2PDisabled: false,
  simultaneousHttpDownloads: 2,
  simultaneousP2PDownloads: 3,
  highDemandTimeWindow: 15,
  httpDownloadInitialTimeoutMs: 0,
  httpDownloadTimeWindow: 3000,
  p2pDownloadTimeWindow: 6000,
  webRtcMaxMessageSize: 65535,
  p2pNotReceivingBytesTimeoutMs: 2000,
  p2pInactiveLoaderDestroyTimeoutMs: 30_000,
  httpNotReceivingBytesTimeoutMs: 3000,
  httpErrorRetries: 3,
  p2pErrorRetries: 3,
  trackerClientVersionPrefix: "-PR0001-",
  announceTrackers: ["wss://tracker.novage.com.ua", "wss://tracker.openwebtorrent.com"],
  rtcConfig: { iceServers: [{ urls: "stun:stun.l.google.com:19302" }, { urls: "stun:global.stun.twilio.com:3478" }] },
  validateP2PSegment: undefined,
  validateHTTPSegment: undefined,
  httpRequestSetup: undefined,
  swarmId: undefined,
};

/** What the engine knows of the options of a stream. The others are ours, or of the whole session. */
const ENGINE_STREAM_OPTIONS = [
  "isP2PUploadDisabled",
  "isP2PDisabled",
  "simultaneousHttpDownloads",
  "simultaneousP2PDownloads",
  "highDemandTimeWindow",
  "httpDownloadInitialTimeoutMs",
  "httpDownloadTimeWindow",
  "p2pDownloadTimeWindow",
  "webRtcMaxMessageSize",
  "p2pNotReceivingBytesTimeoutMs",
  "p2pInactiveLoaderDestroyTimeoutMs",
  "httpNotReceivingBytesTimeoutMs",
  "httpErrorRetries",
  "p2pErrorRetries",
] as const;

type NetworkInformation = EventTarget & { saveData?: boolean; type?: string };

/** What the browser knows of the connection, where it tells. */
export function networkInformation(): NetworkInformation | undefined {
  return (globalThis.navigator as { connection?: NetworkInformation } | undefined)?.connection;
}

/** True on a connection that somebody pays for by the byte, as far as the browser tells. */
export function isMetered(): boolean {
  const connection = networkInformation();
  return connection?.saveData === true || connection?.type === "cellular";
}

/** Most media held in memory on this device when the page does not say, in MiB: the official library's figures. */
export function defaultMemoryLimit(userAgent = globalThis.navigator?.userAgent ?? "", touchPoints = globalThis.navigator?.maxTouchPoints ?? 0): number {
  const isAndroid = /Android/i.test(userAgent);
  const isAndroidWebView = isAndroid && /; wv\)|Version\/[\d.]+ Chrome\//.test(userAgent);
  // iPads call themselves Macs, but no Mac has a touch screen.
  const isApplePortable = /iPad|iPhone|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && touchPoints > 1);
  if (isAndroidWebView || isApplePortable) return 1024;
  return isAndroid ? 2048 : 4096;
}

/** All options with their values: those given, over the defaults. */
export function defineConfig(given: CoreConfig): DefinedCoreConfig {
  const { mainStream, secondaryStream, segmentMemoryStorageLimit, customSegmentStorageFactory, ...both } = given;
  const stream = (own: Partial<StreamConfig> | undefined): StreamConfig => {
    const defaults = { ...DEFAULT_STREAM_CONFIG, isP2PUploadDisabled: isMetered() };
    return override(override(defaults, both), own ?? {});
  };
  return {
    segmentMemoryStorageLimit,
    customSegmentStorageFactory,
    mainStream: stream(mainStream),
    secondaryStream: stream(secondaryStream),
  };
}

/** True when the page said itself whether to upload, so that the kind of connection does not decide. */
export function saysWhetherToUpload({ isP2PUploadDisabled, mainStream, secondaryStream }: CoreConfig | DynamicCoreConfig): boolean {
  return [isP2PUploadDisabled, mainStream?.isP2PUploadDisabled, secondaryStream?.isP2PUploadDisabled].some((given) => given !== undefined);
}

/** `config` with the changes that are given. A property that is there and undefined takes its option back. */
export function changeConfig(config: DefinedCoreConfig, change: DynamicCoreConfig): DefinedCoreConfig {
  const { mainStream, secondaryStream, segmentMemoryStorageLimit, customSegmentStorageFactory, ...both } = change;
  const stream = (old: StreamConfig, own: Partial<StreamConfig> | undefined): StreamConfig => replace(replace(old, both), own ?? {});
  return {
    segmentMemoryStorageLimit: "segmentMemoryStorageLimit" in change ? segmentMemoryStorageLimit : config.segmentMemoryStorageLimit,
    customSegmentStorageFactory: customSegmentStorageFactory ?? config.customSegmentStorageFactory,
    mainStream: stream(config.mainStream, mainStream),
    secondaryStream: stream(config.secondaryStream, secondaryStream),
  };
}

/** The options as the engine takes them. Trackers are those of the main stream: one websocket each serves both kinds. */
export function engineOptions(config: DefinedCoreConfig, storageLimit: number): object {
  const stream = (options: StreamConfig): object => ({
    ...Object.fromEntries(ENGINE_STREAM_OPTIONS.map((name) => [name, options[name]])),
    validateP2PSegment: options.validateP2PSegment !== undefined,
    validateHTTPSegment: options.validateHTTPSegment !== undefined,
  });
  return {
    segmentMemoryStorageLimit: storageLimit,
    announceTrackers: config.mainStream.announceTrackers,
    trackerClientVersionPrefix: config.mainStream.trackerClientVersionPrefix,
    mainStream: stream(config.mainStream),
    secondaryStream: stream(config.secondaryStream),
  };
}

/** Options that are given and undefined count as not given, and fall back to the defaults. */
function override<T extends object>(options: T, given: Partial<T>): T {
  return replace(options, Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>);
}

/** Names that are no options are left out: a later version of the official library may have more than we know. */
function replace<T extends object>(options: T, given: Partial<T>): T {
  const known = Object.entries(given).filter(([name, value]) => name in options && (value !== undefined || isOptional(name)));
  return { ...options, ...Object.fromEntries(known) };
}

function isOptional(name: string): boolean {
  return name in DEFAULT_STREAM_CONFIG && DEFAULT_STREAM_CONFIG[name as keyof StreamConfig] === undefined;
}
