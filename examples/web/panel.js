// The live panel beside a player: who we are connected to, where the bytes came from, and how playback goes.
// It draws twice a second at most, and not at all while nobody sees it.

import { Chart } from "./panel/chart.js";
import { bytes, milliseconds, percent } from "./panel/format.js";
import { Graph } from "./panel/graph.js";
import { Stats } from "./panel/stats.js";

const DRAW_EVERY_MS = 500;
/** When so much was played, the engine should have counted something. */
const UNCOUNTED_AFTER_SECONDS = 5;

const TEMPLATE = `
  <p class="status" role="status"><span class="lamp"></span><span class="text">Starting</span></p>
  <p class="notice" role="alert" hidden></p>
  <div class="graph"></div>
  <div class="share">
    <div class="share-text"><strong data-figure="offload">–</strong> of the bytes came from peers</div>
    <div class="meter" aria-hidden="true"><i></i></div>
  </div>
  <dl class="figures">
    <div><dt>Peers</dt><dd data-figure="peers">0</dd></div>
    <div><dt>Buffer</dt><dd data-figure="buffer">–</dd></div>
    <div><dt>Start-up</dt><dd data-figure="startup">–</dd></div>
    <div><dt>Stalls</dt><dd data-figure="stalls">0</dd></div>
  </dl>
  <div class="chart">
    <div class="chart-head">
      <h2>Bytes by source</h2>
      <div class="modes" role="group" aria-label="What the chart shows">
        <button type="button" value="total" aria-pressed="true">Total</button>
        <button type="button" value="rate" aria-pressed="false">Rate</button>
      </div>
    </div>
    <canvas role="img" aria-label="Chart of the bytes by source over time; the list below has the totals"></canvas>
    <ul class="legend">
      <li class="p2p">From peers <b data-figure="p2p">0 B</b></li>
      <li class="http">From origin <b data-figure="http">0 B</b></li>
      <li class="upload">Sent to peers <b data-figure="upload">0 B</b></li>
    </ul>
  </div>`;

/** Fills `root` with the panel. Also puts the figures on `window.p2pMediaExample` for tests to read. */
export function openPanel(root) {
  const panel = new Panel(root);
  window.p2pMediaExample = {
    get stats() {
      return panel.stats.snapshot();
    },
  };
  return panel;
}

class Panel {
  stats = new Stats();
  #root;
  #figures;
  #meter;
  #graph;
  #chart;
  #modeChosen = false;
  #inView = true;
  #timer = 0;
  #p2p = true;
  #failed = false;

  constructor(root) {
    this.#root = root;
    root.classList.add("panel");
    root.innerHTML = TEMPLATE;
    this.#figures = Object.fromEntries(Array.from(root.querySelectorAll("[data-figure]"), (node) => [node.dataset.figure, node]));
    this.#meter = root.querySelector(".meter");
    this.#graph = new Graph(root.querySelector(".graph"));
    this.#chart = new Chart(root.querySelector("canvas"), this.stats.history);
    root.querySelector(".modes").addEventListener("click", ({ target }) => {
      if (!target.value) return;
      this.#modeChosen = true;
      this.#setMode(target.value);
    });
    document.addEventListener("visibilitychange", () => this.#wake());
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.#inView = isIntersecting;
      this.#wake();
    }).observe(root);
    if (!window.RTCPeerConnection) this.unavailable("This browser has no WebRTC");
  }

  /** Counts what `engine` loads and sends. */
  listen(engine) {
    this.stats.listen(engine);
  }

  /** The start-up time counts from here: call it right before the player gets its source. */
  begin() {
    this.stats.begin();
  }

  /** Follows the media element that plays. */
  watch(media) {
    this.stats.watch(media);
    media.addEventListener("durationchange", () => {
      if (media.duration === Infinity) this.live();
    });
  }

  /** Says that the stream has no end: the chart begins with the rate, which says more than an endless sum. */
  live() {
    if (!this.#modeChosen) this.#setMode("rate");
  }

  /** Follows the media element that a player will put into `container`. */
  watchIn(container) {
    const find = () => {
      const media = container.querySelector("video");
      if (media) this.watch(media);
      return media !== null;
    };
    if (find()) return;
    const observer = new MutationObserver(() => find() && observer.disconnect());
    observer.observe(container, { childList: true, subtree: true });
  }

  /** Shows an error that the player does not recover from. */
  error(text) {
    this.#failed = true;
    this.stats.error(text);
    this.notice(`The player gave up: ${text}`);
  }

  /** Says that there is no P2P here and why. Playback goes on without. */
  unavailable(why) {
    this.#p2p = false;
    this.notice(`${why}: the stream comes from the origin alone.`);
  }

  /** Shows a message above the figures. */
  notice(text) {
    const notice = this.#root.querySelector(".notice");
    notice.textContent = text;
    notice.hidden = false;
  }

  #setMode(mode) {
    this.#chart.mode = mode;
    for (const button of this.#root.querySelectorAll(".modes button")) button.setAttribute("aria-pressed", String(button.value === mode));
    this.#chart.draw();
  }

  #wake() {
    clearTimeout(this.#timer);
    const seen = this.#inView && !document.hidden;
    this.#root.classList.toggle("unseen", !seen);
    if (seen) this.#draw();
  }

  #draw() {
    this.#show();
    this.#graph.draw(this.stats);
    this.#chart.draw();
    this.#timer = setTimeout(() => requestAnimationFrame(() => this.#inView && !document.hidden && this.#draw()), DRAW_EVERY_MS);
  }

  #show() {
    const { stats } = this;
    this.#set("offload", percent(stats.offload));
    this.#set("peers", String(stats.viewers));
    this.#set("buffer", stats.media ? `${stats.bufferSeconds.toFixed(stats.bufferSeconds < 10 ? 1 : 0)} s` : "–");
    this.#set("startup", milliseconds(stats.startupMs));
    this.#set("stalls", String(stats.stalls));
    this.#set("p2p", bytes(stats.p2pBytes));
    this.#set("http", bytes(stats.httpBytes));
    this.#set("upload", bytes(stats.uploadedBytes));
    this.#meter.classList.toggle("filled", stats.offload !== null);
    const scale = `scaleX(${(stats.offload ?? 0).toFixed(3)})`;
    if (this.#meter.firstChild.style.transform !== scale) this.#meter.firstChild.style.transform = scale;
    const [state, text] = this.#status();
    const status = this.#root.querySelector(".status");
    if (status.dataset.state !== state) status.dataset.state = state;
    const words = status.querySelector(".text");
    if (words.textContent !== text) words.textContent = text;
  }

  #status() {
    const { viewers, offload, trackerTrouble, media } = this.stats;
    if (this.#failed) return ["failed", "Not playing"];
    if (!this.#p2p) return ["off", "No P2P here"];
    if (viewers) return ["sharing", viewers === 1 ? "Connected to 1 peer" : `Connected to ${viewers} peers`];
    if (trackerTrouble !== null) return ["trouble", "The tracker cannot be reached. Playing from the origin."];
    if (offload !== null) return ["waiting", "Waiting for other viewers of this stream"];
    // Behind a Service Worker, tabs of one browser may share one engine.
    if (media?.currentTime > UNCOUNTED_AFTER_SECONDS) return ["waiting", "Brought by another tab of this browser, or by the network"];
    return ["waiting", "Starting"];
  }

  #set(name, text) {
    const node = this.#figures[name];
    if (node.textContent !== text) node.textContent = text;
  }
}
