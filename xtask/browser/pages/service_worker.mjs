// Plays a stream with an unchanged player behind the Service Worker: ?player=hlsjs|shaka|element&src=URL&tracker=URL, and &buffer=SECONDS ahead.

import { countedViewer } from "./counters.mjs";

const parameters = new URLSearchParams(location.search);
const src = parameters.get("src");
const buffer = Number(parameters.get("buffer") ?? 20);
const video = document.querySelector("video");
const viewer = (window.viewer = countedViewer(video));

const players = {
  async hlsjs() {
    const { default: Hls } = await import("/modules/hls.js/dist/hls.mjs");
    const hls = new Hls({ maxBufferLength: buffer, maxMaxBufferLength: buffer });
    hls.on("hlsError", (_, { fatal, type, details }) => fatal && viewer.errors.push(`hls.js: ${type} ${details}`));
    hls.attachMedia(video);
    hls.loadSource(src);
  },
  async shaka() {
    await import("/modules/shaka-player/dist/shaka-player.compiled.js");
    const player = new window.shaka.Player();
    await player.attach(video);
    // One quality, so that viewers have the same segments to share.
    player.configure({ streaming: { bufferingGoal: buffer }, abr: { enabled: false } });
    player.addEventListener("error", ({ detail }) => viewer.errors.push(`Shaka: ${detail?.code} ${detail?.data}`));
    await player.load(src);
  },
  /** The player that the browser has for HLS. */
  element() {
    video.onerror = () => viewer.errors.push(`video: ${video.error.message}`);
    video.src = src;
  },
};
try {
  const { P2PServiceWorker } = await import("/p2p-media/service-worker.js");
  const core = { announceTrackers: parameters.getAll("tracker"), rtcConfig: { iceServers: [] } };
  viewer.p2p = await P2PServiceWorker.register({ core, workerUrl: "/sw.js" });
  viewer.listen(viewer.p2p);
  await players[parameters.get("player") ?? "hlsjs"]();
  await video.play();
} catch (error) {
  viewer.errors.push(String(error?.stack ?? error));
}
