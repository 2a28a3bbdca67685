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
