/**
 * The plugins that are put into Shaka, for all players of a page: they leave players without an engine to what Shaka brings itself.
 */
import { bindingOf, noteOf } from "./registry.js";
import type { ManifestParser, Request, SchemePlugin, Shaka } from "./shaka-types.js";

const SCHEMES = ["http", "https"];
const DASH_TYPES = ["application/dash+xml", "video/vnd.mpeg.dash.mpd"];
const HLS_TYPES = ["application/x-mpegurl", "application/vnd.apple.mpegurl", "audio/x-mpegurl"];

/** Puts the plugins in. */
export function register(shaka: Shaka): void {
  forParsers(shaka, (mime, protocol, Parser) => {
    shaka.media.ManifestParser.registerParserByMime(mime, () => observed(new Parser(), protocol));
  });
  // Shaka guards requests against silence only when told that the plugin reports progress.
  for (const scheme of SCHEMES) shaka.net.NetworkingEngine.registerScheme(scheme, schemePlugin(shaka), undefined, true);
}

/** Takes the plugins out, and puts Shaka's own back. */
export function unregister(shaka: Shaka): void {
  forParsers(shaka, (mime, _protocol, Parser) => {
    shaka.media.ManifestParser.unregisterParserByMime(mime);
    shaka.media.ManifestParser.registerParserByMime(mime, () => new Parser());
  });
  const { NetworkingEngine } = shaka.net;
  for (const scheme of SCHEMES) {
    NetworkingEngine.unregisterScheme(scheme);
    NetworkingEngine.registerScheme(scheme, httpPlugin(shaka), NetworkingEngine.PluginPriority.PREFERRED, true);
  }
}

type RegisterParser = (mime: string, protocol: "hls" | "dash", Parser: new () => ManifestParser) => void;

function forParsers(shaka: Shaka, use: RegisterParser): void {
  const Dash = shaka.dash?.DashParser;
  const Hls = shaka.hls?.HlsParser;
  if (Dash) for (const mime of DASH_TYPES) use(mime, "dash", Dash);
  if (Hls) for (const mime of HLS_TYPES) use(mime, "hls", Hls);
}

/** Shaka's parser, of which the player's engine hears when it starts and what it has read. */
function observed(parser: ManifestParser, protocol: "hls" | "dash"): ManifestParser {
  const start = parser.start.bind(parser);
  parser.start = async (uri, playerInterface) => {
    const binding = bindingOf(playerInterface.networkingEngine);
    const session = binding?.begin(protocol, uri);
    const manifest = await start(uri, playerInterface);
    session?.open(manifest);
    return manifest;
  };
  return parser;
}

function schemePlugin(shaka: Shaka): SchemePlugin {
  const plain = httpPlugin(shaka);
  return (uri, request, requestType, progressUpdated, headersReceived, config) => {
    const note = requestType === shaka.net.NetworkingEngine.RequestType.SEGMENT ? noteOf(request) : undefined;
    const loadPlainly = (as: Request) => plain(uri, as, requestType, progressUpdated, headersReceived, config);
    return note?.binding.load(uri, request, note.context, progressUpdated, loadPlainly) ?? loadPlainly(request);
  };
}

function httpPlugin(shaka: Shaka): SchemePlugin {
  const { HttpFetchPlugin, HttpXHRPlugin } = shaka.net;
  const plugin = HttpFetchPlugin.isSupported() ? HttpFetchPlugin : HttpXHRPlugin;
  return (...args) => plugin.parse(...args);
}
