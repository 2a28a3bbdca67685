// Figures as people read them.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** For example `12.4 MB`: decimal units, as networks are measured. */
export function bytes(count) {
  let unit = 0;
  while (count >= 999.5 && unit < UNITS.length - 1) {
    count /= 1000;
    unit++;
  }
  const digits = unit === 0 || count >= 99.5 ? 0 : 1;
  return `${count.toFixed(digits)} ${UNITS[unit]}`;
}

export function rate(bytesPerSecond) {
  return `${bytes(bytesPerSecond)}/s`;
}

/** Both directions of a connection in one short text, such as `↓73 ↑210 kB/s`; empty when nothing flows. */
export function flow(down, up) {
  if (!down && !up) return "";
  const mega = Math.max(down, up) >= 999_500;
  const number = (value) => (mega ? (value / 1_000_000).toFixed(1) : Math.round(value / 1000));
  return [down && `↓${number(down)}`, up && `↑${number(up)}`, mega ? "MB/s" : "kB/s"].filter(Boolean).join(" ");
}

export function percent(share) {
  return share === null ? "–" : `${Math.round(share * 100)} %`;
}

export function milliseconds(ms) {
  if (ms === null) return "–";
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** For example `40 s`, `3 min`, `1.5 h`. */
export function duration(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
