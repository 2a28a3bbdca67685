/** `p2p-media/service-worker`: the page half, for players that have no adapter of their own. */
export { P2PServiceWorker, type P2PServiceWorkerOptions, type PresentationStats } from "./p2p_service_worker.js";
export type * from "../core/types.js";
