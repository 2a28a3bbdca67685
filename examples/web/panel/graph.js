// The drawn graph: we in the middle, the origin and the peers around us, and what flows between.
// Elements that the compositor moves, in place of a canvas: while it is just flowing, the page itself has nothing to do.

import { bytes, flow } from "./format.js";

/** More peers than these are only counted. */
const MAX_PEERS = 14;
/** With more nodes than this the labels would lie on each other. */
const MAX_LABELLED = 9;
const DOTS = 3;
const DOT_MS = 1800;
/** How long the mean goes back that a rate is. */
const RATE_SECONDS = 1.5;
/** Slower than this is no flow. Bytes per second. */
const STILL = 2000;
/** Thickness and speed of a flow by its rate. */
const LEVELS = [
  { above: 1_000_000, thickness: 6, speed: 2.2 },
  { above: 250_000, thickness: 4.5, speed: 1.6 },
  { above: 50_000, thickness: 3, speed: 1.2 },
  { above: 0, thickness: 2, speed: 0.8 },
];
const EDGE_START = 27;
const EDGE_END = 19;

export class Graph {
  #nodes = new Map();
  #list;
  #edges;
  #more;
  #size = { width: 0, height: 0 };
  #drawn = 0;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #arranged = "";

  constructor(root) {
    this.#edges = root.appendChild(element("div", "edges"));
    this.#edges.setAttribute("aria-hidden", "true");
    this.#list = root.appendChild(element("ul", "nodes"));
    this.#list.setAttribute("aria-label", "Where our bytes come from and go to");
    root.appendChild(element("div", "hub", "You")).setAttribute("aria-hidden", "true");
    this.#more = root.appendChild(element("p", "more"));
    new ResizeObserver(([{ contentRect }]) => {
      this.#size = { width: contentRect.width, height: contentRect.height };
      this.#arranged = "";
    }).observe(root);
    this.#still.addEventListener("change", () => (this.#arranged = ""));
  }

  draw(stats) {
    const now = performance.now();
    // After a pause, such as a hidden tab, the mean starts anew.
    const seconds = Math.min((now - this.#drawn) / 1000, 5);
    this.#drawn = now;
    const shown = [...stats.peers.values()].slice(0, MAX_PEERS);
    this.#keep(["origin", ...shown.map((peer) => peer.id)]);
    this.#arrange();
    this.#update(this.#nodes.get("origin"), stats.httpBytes, 0, seconds);
    for (const peer of shown) {
      const node = this.#nodes.get(peer.id);
      namePeer(node, peer);
      this.#update(node, peer.down, peer.up, seconds);
    }
    const hidden = stats.peers.size - shown.length;
    this.#more.classList.toggle("alone", !shown.length);
    setText(this.#more, hidden ? `and ${hidden} more` : shown.length ? "" : "No peers");
  }

  /** Makes the nodes that are new and removes those that are gone. */
  #keep(ids) {
    for (const [id, node] of this.#nodes) {
      if (ids.includes(id)) continue;
      this.#nodes.delete(id);
      node.item.remove();
      node.edge.remove();
    }
    for (const id of ids) {
      if (this.#nodes.has(id)) continue;
      const node = id === "origin" ? makeNode("origin", "Origin") : makeNode("peer", `Peer ${id}`);
      this.#nodes.set(id, node);
      this.#list.append(node.item);
      this.#edges.append(node.edge);
    }
  }

  /** Places the nodes on an ellipse, the origin at the left, when they are others than before. */
  #arrange() {
    const ids = [...this.#nodes.keys()];
    const { width, height } = this.#size;
    const key = `${width} ${height} ${ids}`;
    if (key === this.#arranged || !width) return;
    this.#arranged = key;
    const radiusX = Math.min(width / 2 - 46, 190);
    const radiusY = height / 2 - 42;
    this.#list.classList.toggle("crowded", ids.length > MAX_LABELLED);
    this.#list.parentElement.classList.toggle("few", ids.length <= 3);
    ids.forEach((id, i) => {
      const turn = Math.PI * (1 + (2 * i) / ids.length);
      const x = radiusX * Math.cos(turn);
      const y = radiusY * Math.sin(turn);
      const length = Math.hypot(x, y);
      // Between half a turn and one and a half: no node takes the long way round when others come.
      const angle = (Math.atan2(y, x) + 2 * Math.PI) % (2 * Math.PI);
      const degrees = ((angle < Math.PI - 1e-6 ? angle + 2 * Math.PI : angle) * 180) / Math.PI;
      const { item, edge, lanes } = this.#nodes.get(id);
      item.style.transform = `rotate(${degrees}deg) translateX(${length}px) rotate(${-degrees}deg)`;
      item.classList.toggle("above", y < -radiusY * 0.3);
      item.classList.toggle("beside", Math.abs(y) <= radiusY * 0.3);
      edge.style.transform = `rotate(${degrees}deg)`;
      edge.style.width = `${length}px`;
      for (const lane of Object.values(lanes)) lane.stretch(length - EDGE_START - EDGE_END, this.#still.matches);
    });
  }

  #update(node, down, up, seconds) {
    const weight = 1 - Math.exp(-seconds / RATE_SECONDS);
    for (const [name, total] of [["down", down], ["up", up]]) {
      const seen = node.flows[name];
      const current = seconds ? (total - seen.total) / seconds : 0;
      seen.mean += weight * (current - seen.mean);
      seen.rate = seen.mean < STILL ? 0 : seen.mean;
      seen.total = total;
      node.lanes[name]?.flow(seen.rate);
    }
    node.edge.classList.toggle("both", node.flows.down.rate > 0 && node.flows.up.rate > 0);
    setText(node.detail, flow(node.flows.down.rate, node.flows.up.rate));
    const totals = node.lanes.up ? `${bytes(down)} received, ${bytes(up)} sent` : `${bytes(down)} received`;
    if (node.item.title !== `${node.title}: ${totals}`) node.item.title = `${node.title}: ${totals}`;
  }
}

/** One direction of an edge: a band as thick as its rate, and dots that run along it. */
class Lane {
  #element = element("div", "lane");
  #animations = [];
  #level = null;
  #inward;

  constructor(edge, kind, inward) {
    this.#inward = inward;
    this.#element.classList.add(kind);
    edge.append(this.#element);
    for (let i = 0; i < DOTS; i++) this.#element.append(element("i", ""));
  }

  stretch(length, still) {
    for (const animation of this.#animations) animation.cancel();
    this.#element.classList.toggle("still", still);
    const [from, to] = this.#inward ? [length, 0] : [0, length];
    const at = (distance) => `translateX(${distance}px)`;
    this.#animations = still
      ? []
      : Array.from(this.#element.children, (dot, i) =>
          dot.animate(
            [
              { transform: at(from), opacity: 0 },
              { opacity: 1, offset: 0.15 },
              { opacity: 1, offset: 0.85 },
              { transform: at(to), opacity: 0 },
            ],
            { duration: DOT_MS, iterations: Infinity, delay: (-i * DOT_MS) / DOTS },
          ),
        );
    this.#run();
  }

  flow(bytesPerSecond) {
    const level = bytesPerSecond > 0 ? LEVELS.find(({ above }) => bytesPerSecond > above) : null;
    if (level === this.#level) return;
    this.#level = level;
    this.#element.style.setProperty("--thickness", `${level?.thickness ?? 0}px`);
    this.#element.classList.toggle("flowing", level !== null);
    this.#run();
  }

  /** Nothing is animated that is not seen. */
  #run() {
    for (const animation of this.#animations) {
      if (this.#level) {
        animation.updatePlaybackRate(this.#level.speed);
        animation.play();
      } else {
        animation.pause();
      }
    }
  }
}

/** A peer may share pictures and sound with us, or one of them; that may change. */
function namePeer({ item, name }, { id, kinds }) {
  const audio = kinds.has("secondary") && !kinds.has("main");
  item.classList.toggle("audio", audio);
  setText(name, id.slice(-4) + (audio ? " audio" : ""));
}

function makeNode(kind, title) {
  const item = element("li", `node ${kind}`);
  item.append(element("span", "disc"));
  const text = item.appendChild(element("span", "label"));
  const name = text.appendChild(element("b", "", title));
  const detail = text.appendChild(element("span", "detail"));
  const edge = element("div", `edge ${kind}`);
  const origin = kind === "origin";
  const lanes = { down: new Lane(edge, origin ? "http" : "p2p", true) };
  if (!origin) lanes.up = new Lane(edge, "upload", false);
  const flows = { down: { total: 0, mean: 0, rate: 0 }, up: { total: 0, mean: 0, rate: 0 } };
  return { item, edge, lanes, flows, name, detail, title };
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
