// What programs in TypeScript write against the package; it must compile under `strict`, however their compiler finds modules.

import Hls from "hls.js";
import { Core, type CoreConfig, type SegmentStorage } from "p2p-media/core";
import { HlsJsP2PEngine, type HlsWithP2PConfig, type HlsWithP2PInstance } from "p2p-media/hlsjs";
import { ShakaP2PEngine } from "p2p-media/shaka";

const core: CoreConfig = {
  announceTrackers: ["wss://tracker.example"],
  mainStream: { isP2PDisabled: false, validateP2PSegment: async (url, byteRange, data) => url !== "" && !byteRange && data.byteLength > 0 },
  httpRequestSetup: async (url, byteRange, signal) => new Request(url, { signal, headers: byteRange ? { "x-part": "1" } : {} }),
};

const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
const config: HlsWithP2PConfig<typeof Hls> = {
  maxBufferLength: 20,
  p2p: {
    core,
    onHlsJsCreated(hls) {
      hls.p2pEngine.addEventListener("onPeerConnect", ({ peerId, streamType }) => console.log(peerId.length, streamType));
      hls.p2pEngine.addEventListener("onChunkDownloaded", (bytes, source, peerId) => console.log(bytes + 1, source === "p2p", peerId?.length));
    },
  },
};
export const hls: HlsWithP2PInstance<Hls> = new HlsWithP2P(config);
hls.p2pEngine.applyDynamicConfig({ core: { simultaneousP2PDownloads: 4 } });

const engine = new HlsJsP2PEngine({ core });
engine.bindHls(() => new Hls(engine.getConfigForHlsJs()));
engine.destroy();

const shaka = new ShakaP2PEngine({ core });
shaka.addEventListener("onSegmentLoaded", ({ segmentUrl, bytesLength }) => console.log(segmentUrl.length, bytesLength + 1));
shaka.destroy();

export function capacityOf(storage: SegmentStorage): number {
  return storage.getUsage().totalCapacity;
}
export const plain = new Core(core);
plain.addEventListener("onTrackerError", ({ streamType }) => console.log(streamType));
plain.destroy();
