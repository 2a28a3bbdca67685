// What all example pages share: the parameters of the address, the server's /config.json, the choice of streams, and the panel.
//
// Parameters: ?src= (a playlist or an MPD), ?tracker= (ws: or wss:), ?swarm= (the swarm's name in place of the manifest's URL).

import { openPanel } from "./panel.js";

/** Opens the panel and finds out what to play. `formats` are those that the page's player takes: "hls", "dash". */
export async function openPage({ formats }) {
  const panel = openPanel(document.getElementById("panel"));
  const query = new URLSearchParams(location.search);
  const config = await readConfig();
  const streams = (config.streams ?? []).filter(({ url }) => formats.includes(formatOf(url)));
  const given = query.get("src") || streams[0]?.url || "";
  const source = given && new URL(given, location.href).href;
  const tracker = query.get("tracker") || config.tracker || "";
  fillChooser(document.getElementById("chooser"), { streams, source, tracker, swarm: query.get("swarm") ?? "" });
  if (streams.some(({ url, live }) => live && new URL(url, location.href).href === source)) panel.live();
  if (!source) panel.notice("There is no stream to play: give one below.");

  /** What the engine takes: the same options for every integration. */
  const core = {};
  if (tracker) core.announceTrackers = [tracker];
  if (query.get("swarm")) core.swarmId = query.get("swarm");
  // Viewers on one machine find each other without a STUN server, and without asking one.
  if (tracker && isLoopback(new URL(tracker).hostname)) core.rtcConfig = { iceServers: [] };
  return { source, format: formatOf(source), core, panel };
}

/** "dash" or "hls", by the name of the resource. */
function formatOf(url) {
  return new URL(url, location.href).pathname.endsWith(".mpd") ? "dash" : "hls";
}

async function readConfig() {
  try {
    const response = await fetch("/config.json");
    return response.ok ? await response.json() : {};
  } catch {
    return {};
  }
}

function isLoopback(host) {
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}

function fillChooser(root, { streams, source, tracker, swarm }) {
  root.innerHTML = `
    <form>
      <label>Stream <select></select></label>
      <a class="button" target="_blank">Open another viewer</a>
      <details>
        <summary>Another stream, tracker or swarm</summary>
        <label>Stream URL <input name="src" inputmode="url" autocomplete="off" spellcheck="false" placeholder="https://…/master.m3u8"></label>
        <label>Tracker <input name="tracker" inputmode="url" autocomplete="off" spellcheck="false" placeholder="wss://… (default: the public ones)"></label>
        <label>Swarm <input name="swarm" autocomplete="off" spellcheck="false" placeholder="the manifest's URL"></label>
        <button>Play</button>
      </details>
    </form>`;
  const form = root.querySelector("form");
  const select = form.querySelector("select");
  for (const { name, url } of streams) select.add(new Option(name, new URL(url, location.href).href));
  if (![...select.options].some((option) => option.value === source)) select.add(new Option(source || "None", source));
  select.value = source;
  form.elements.src.value = source;
  form.elements.tracker.value = tracker;
  form.elements.swarm.value = swarm;
  form.querySelector("a").href = location.href;
  select.addEventListener("change", () => {
    form.elements.src.value = select.value;
    form.requestSubmit();
  });
}
