// The chart of bytes by source over time: origin and peers stacked as areas, what we sent as a line.

import { bytes, duration, rate } from "./format.js";
import { RECENT_SECONDS } from "./history.js";

const LEFT = 6;
const RIGHT = 6;
const TOP = 8;
const BOTTOM = 20;
/** Segments come in bursts: a mean over so many seconds shows what flows. */
const SMOOTH_SECONDS = 4;
/** What the time axis covers in the beginning. Seconds. */
const SHORTEST_SPAN = 20;

export class Chart {
  /** "total": bytes since the start. "rate": bytes per second in the last two minutes. */
  mode = "total";
  #canvas;
  #context;
  #history;
  #width = 0;
  #height = 0;
  #colours = null;
  /** Top of the scale, kept while it fits so that the picture does not jump. */
  #scale = { mode: "", top: 0 };

  constructor(canvas, history) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#history = history;
    new ResizeObserver(([entry]) => this.#resize(entry.contentRect)).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (this.#colours = null));
  }

  draw() {
    if (!this.#width) return;
    this.#colours ??= readColours(this.#canvas);
    const series = this.mode === "rate" ? this.#rates() : this.#totals();
    const stacked = series.p2p.map((value, i) => value + series.http[i]);
    const highest = Math.max(...stacked, ...series.upload);
    const top = this.#top(highest);
    const left = LEFT;
    const right = this.#width - RIGHT;
    const floor = this.#height - BOTTOM;
    const x = (i) => left + ((right - left) * series.at[i]) / series.span;
    const y = (value) => floor - ((floor - TOP) * value) / top;

    const context = this.#context;
    context.clearRect(0, 0, this.#width, this.#height);
    for (const value of [top / 2, top]) this.#rule(left, right, Math.round(y(value)) + 0.5, this.#colours.grid);
    const none = new Float64Array(series.http.length);
    this.#area(x, y, none, series.http, this.#colours.http);
    this.#area(x, y, series.http, stacked, this.#colours.p2p);
    // A gap between the areas tells them apart whatever colours one sees.
    this.#line(x, y, series.http, this.#colours.surface, 1);
    this.#line(x, y, series.upload, this.#colours.upload, 2);
    this.#rule(left, right, floor + 0.5, this.#colours.axis);
    this.#labels(highest, top, y, left, right, series.span);
  }

  #resize({ width, height }) {
    const ratio = devicePixelRatio || 1;
    this.#width = width;
    this.#height = height;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  #totals() {
    const { totals: http, bucketSeconds } = this.#history.session("http");
    const { totals: p2p } = this.#history.session("p2p");
    const { totals: upload } = this.#history.session("upload");
    const age = this.#history.age;
    const span = Math.max(SHORTEST_SPAN, age);
    // A bucket's total stands at its end; that of the last one is now. A first point at zero begins the areas.
    const at = [0, ...Array.from(http, (_, i) => Math.min((i + 1) * bucketSeconds, age))];
    const withStart = (totals) => Float64Array.of(0, ...totals);
    return { http: withStart(http), p2p: withStart(p2p), upload: withStart(upload), at, span };
  }

  #rates() {
    const smooth = (values) =>
      values.map((_, i) => {
        const from = Math.max(0, i - SMOOTH_SECONDS + 1);
        let sum = 0;
        for (let j = from; j <= i; j++) sum += values[j];
        return sum / (i - from + 1);
      });
    const [http, p2p, upload] = ["http", "p2p", "upload"].map((source) => smooth(this.#history.recent(source)));
    const span = Math.max(SHORTEST_SPAN, Math.min(this.#history.age, RECENT_SECONDS - SMOOTH_SECONDS));
    const shift = this.#history.age % 1;
    const at = Array.from(http, (_, i) => span - (http.length - 1 - i) - shift);
    // The newest value goes up to the edge, and what is older than the chart is left out.
    const first = at.findIndex((second) => second >= 0);
    at[at.length - 1] = span;
    const [shownHttp, shownP2p, shownUpload, shownAt] = [http, p2p, upload, at].map((values) => values.slice(first));
    return { http: shownHttp, p2p: shownP2p, upload: shownUpload, at: shownAt, span };
  }

  #top(highest) {
    const { mode, top } = this.#scale;
    if (mode === this.mode && highest <= top && highest > top * 0.4) return top;
    this.#scale = { mode: this.mode, top: roundUp(Math.max(highest * 1.08, 1000)) };
    return this.#scale.top;
  }

  #area(x, y, lower, upper, colour) {
    const context = this.#context;
    context.beginPath();
    for (let i = 0; i < upper.length; i++) context.lineTo(x(i), y(upper[i]));
    for (let i = lower.length - 1; i >= 0; i--) context.lineTo(x(i), y(lower[i]));
    context.closePath();
    context.fillStyle = colour;
    context.fill();
  }

  #line(x, y, values, colour, width) {
    const context = this.#context;
    context.beginPath();
    for (let i = 0; i < values.length; i++) context.lineTo(x(i), y(values[i]));
    // A halo keeps it legible on either area.
    context.lineJoin = "round";
    context.strokeStyle = this.#colours.surface;
    context.lineWidth = width + 1.5;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  #labels(highest, top, y, left, right, span) {
    const context = this.#context;
    const label = this.mode === "rate" ? rate : bytes;
    context.font = `11px ${this.#colours.font}`;
    for (const value of highest ? [top / 2, top] : []) this.#text(label(value), left, y(value) + 12, "left");
    this.#text(this.mode === "rate" ? `${duration(span)} ago` : "start", left, this.#height - 6, "left");
    this.#text(this.mode === "rate" ? "now" : duration(span), right, this.#height - 6, "right");
  }

  #rule(left, right, y, colour) {
    const context = this.#context;
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(right, y);
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.stroke();
  }

  #text(text, x, y, align) {
    const context = this.#context;
    context.textAlign = align;
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.strokeStyle = this.#colours.surface;
    context.strokeText(text, x, y);
    context.fillStyle = this.#colours.text;
    context.fillText(text, x, y);
  }
}

/** The next number whose half is short as well. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 1.2, 1.6, 2, 3, 4, 5, 6, 8].find((step) => value <= step * power) ?? 10);
}

function readColours(element) {
  const style = getComputedStyle(element);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    http: colour("--http"),
    p2p: colour("--p2p"),
    upload: colour("--upload"),
    surface: colour("--surface"),
    grid: colour("--line"),
    axis: colour("--line-strong"),
    text: colour("--text-soft"),
    font: style.fontFamily,
  };
}
