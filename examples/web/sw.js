// The Service Worker of the example pages: a worker serves the folder that its script is in, so this one stands at the root.
importScripts("/p2p-media/service-worker-worker.js");
