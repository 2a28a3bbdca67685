// Makes players and destroys them, each in another state: just begun, with media, connected to others. For the test of leaks.

import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media/hlsjs.js";

const parameters = new URLSearchParams(location.search);
const core = { announceTrackers: [parameters.get("tracker")], rtcConfig: { iceServers: [] } };
const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
/** How long a player waits for the state in which it is to be destroyed. */
const STATE_TIMEOUT_MS = 5_000;

const states = [
  async () => {},
  (hls) => once((done) => hls.on("hlsFragBuffered", done)),
  (hls, engine) => once((done) => engine.addEventListener("onPeerConnect", done)),
];

/** Makes so many players one after the other; gives how many got as far as they should. */
window.makeAndDestroy = async (count) => {
  let reached = 0;
  for (let index = 0; index < count; index++) {
    const video = document.createElement("video");
    video.muted = true;
    const hls = new HlsWithP2P({ maxBufferLength: 4, maxMaxBufferLength: 4, enableWorker: false, p2p: { core } });
    const reaches = states[index % states.length](hls, hls.p2pEngine);
    hls.attachMedia(video);
    hls.loadSource(parameters.get("src"));
    if (await Promise.race([reaches.then(() => true), delay(STATE_TIMEOUT_MS)])) reached++;
    hls.destroy();
    video.removeAttribute("src");
    video.load();
  }
  return reached;
};

function once(listen) {
  return new Promise((resolve) => listen(() => resolve()));
}

function delay(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, false));
}
