// What a test asks of a page: bytes by source, peers, how playback goes.

/** Listens to an engine, ours or the official one, and watches the video. */
export function countedViewer(video) {
  const counts = { httpBytes: 0, p2pBytes: 0, uploadedBytes: 0, from: {}, to: {}, trackerErrors: 0, segmentErrors: [] };
  const errors = [];
  /** In how many swarms we are connected to a peer, by its id. */
  const peers = new Map();
  const connects = (peerId, by) => peers.set(peerId, (peers.get(peerId) ?? 0) + by);
  let stalls = 0;
  video.addEventListener("waiting", () => video.currentTime > 0 && !video.seeking && stalls++);
  addEventListener("error", (event) => errors.push(`error: ${event.message}`));
  addEventListener("unhandledrejection", (event) => errors.push(`unhandled: ${event.reason?.stack ?? event.reason}`));
  return {
    errors,
    listen(engine) {
      engine.addEventListener("onChunkDownloaded", (bytes, source, peerId) => {
        if (source === "http") counts.httpBytes += bytes;
        else {
          counts.p2pBytes += bytes;
          counts.from[peerId] = (counts.from[peerId] ?? 0) + bytes;
        }
      });
      engine.addEventListener("onChunkUploaded", (bytes, peerId) => {
        counts.uploadedBytes += bytes;
        counts.to[peerId] = (counts.to[peerId] ?? 0) + bytes;
      });
      engine.addEventListener("onPeerConnect", ({ peerId }) => connects(peerId, 1));
      engine.addEventListener("onPeerClose", ({ peerId }) => connects(peerId, -1));
      engine.addEventListener("onTrackerError", () => counts.trackerErrors++);
      engine.addEventListener("onSegmentError", ({ error, downloadSource }) => counts.segmentErrors.push(`${downloadSource}: ${error.type}`));
    },
    state: () => ({
      ...counts,
      peers: [...peers.values()].filter((count) => count > 0).length,
      errors,
      stalls,
      time: video.currentTime,
      ahead: bufferedAhead(video),
      ended: video.ended,
      paused: video.paused,
    }),
  };
}

function bufferedAhead(video) {
  const { buffered, currentTime } = video;
  for (let index = 0; index < buffered.length; index++) {
    if (buffered.start(index) <= currentTime + 0.1 && buffered.end(index) > currentTime) return buffered.end(index) - currentTime;
  }
  return 0;
}
