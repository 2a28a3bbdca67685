// A project that uses the package as its readme says, through a bundler: nothing but imports by name.

import Hls from "hls.js";
import { HlsJsP2PEngine } from "p2p-media/hlsjs";
import { countedViewer } from "./counters.mjs";

const parameters = new URLSearchParams(location.search);
const core = { announceTrackers: [parameters.get("tracker")], rtcConfig: { iceServers: [] } };
const video = document.querySelector("video");
window.viewer = countedViewer(video);
const HlsWithP2P = HlsJsP2PEngine.injectMixin(Hls);
const hls = new HlsWithP2P({ p2p: { core, onHlsJsCreated: (hls) => window.viewer.listen(hls.p2pEngine) } });
hls.attachMedia(video);
hls.loadSource(parameters.get("src"));
video.play().catch((error) => window.viewer.errors.push(String(error)));
