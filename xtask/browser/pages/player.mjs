// Plays a stream as the address says: ?engine=hlsjs|official|shaka&src=URL&tracker=URL, and &core=JSON, &player=JSON for further options.

import { countedViewer } from "./counters.mjs";

const parameters = new URLSearchParams(location.search);
const src = parameters.get("src");
const core = {
  announceTrackers: parameters.getAll("tracker"),
  rtcConfig: { iceServers: [] },
  ...JSON.parse(parameters.get("core") ?? "{}"),
};
const options = JSON.parse(parameters.get("player") ?? "{}");
const video = document.querySelector("video");
const viewer = (window.viewer = countedViewer(video));

const players = {
  hlsjs: async () => playHls((await import("p2p-media/hlsjs.js")).HlsJsP2PEngine),
  official: async () => playHls((await import("p2p-media-loader-hlsjs")).HlsJsP2PEngine),
  shaka: async () => playShaka((await import("p2p-media/shaka.js")).ShakaP2PEngine),
};
try {
  await players[parameters.get("engine") ?? "hlsjs"]();
  await video.play();
} catch (error) {
  viewer.errors.push(String(error?.stack ?? error));
}

async function playHls(HlsJsP2PEngine) {
  const { default: Hls } = await import("hls.js");
  const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
  const hls = new HlsWithP2P({ ...options, p2p: { core, onHlsJsCreated: (hls) => viewer.listen(hls.p2pEngine) } });
  hls.on("hlsError", (_, { fatal, type, details }) => fatal && viewer.errors.push(`hls.js: ${type} ${details}`));
  hls.attachMedia(video);
  hls.loadSource(src);
  viewer.player = hls;
}

async function playShaka(ShakaP2PEngine) {
  await import("/modules/shaka-player/dist/shaka-player.compiled.js");
  const { shaka } = window;
  shaka.polyfill.installAll();
  ShakaP2PEngine.registerPlugins(shaka);
  const player = new shaka.Player();
  await player.attach(video);
  const engine = new ShakaP2PEngine({ core }, shaka);
  viewer.listen(engine);
  player.configure(options);
  engine.bindShakaPlayer(player);
  player.addEventListener("error", ({ detail }) => viewer.errors.push(`Shaka: ${detail?.code} ${detail?.data}`));
  await player.load(src);
  viewer.player = player;
  viewer.engine = engine;
}
