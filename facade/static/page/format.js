// Numbers, prices, times and durations as they are read; times are UTC and come as ISO texts.

const LOCALE = "en-GB";
const MINUS = "−";
export const NONE = "–";

const plain = new Map();

function number(value, digits) {
  if (!plain.has(digits)) {
    plain.set(digits, new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  }
  return plain.get(digits).format(value).replace("-", MINUS);
}

export const whole = (value) => number(value, 0);

/** USDT with a sign; exactly nothing is shown without one. */
export function pnl(text) {
  if (text === null || text === undefined) return NONE;
  const value = Number(text);
  const shown = number(Math.abs(value), 2);
  if (shown === "0.00") return shown;
  return (value > 0 ? "+" : MINUS) + shown;
}

export const money = (text, digits = 2) => number(Number(text), digits);

export function toneOf(text) {
  const value = Number(text);
  if (text === null || text === undefined || Math.abs(value) < 0.005) return "quiet";
  return value > 0 ? "gain" : "loss";
}

/** As many digits as a price of its size is quoted with. */
export function priceDigits(value) {
  const size = Math.abs(value);
  if (size >= 1000) return 1;
  if (size >= 10) return 2;
  return size >= 0.1 ? 4 : 6;
}

export const price = (text) => (text === null || text === undefined ? NONE : number(Number(text), priceDigits(Number(text))));

export function quantity(text) {
  const value = Number(text);
  return new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 6 }).format(value).replace("-", MINUS);
}

export const clock = (ms) => new Date(ms).toISOString().slice(11, 19);

export function date(ms) {
  return new Date(ms).toLocaleDateString(LOCALE, { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
}

/** A duration in its two largest units: 4 s, 3 min, 2 h 05, 3 d 4 h. */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${String(minutes % 60).padStart(2, "0")}`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A countdown that keeps its width: 0:42, 1:05:00. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export const milliseconds = (value) => (value === null ? NONE : value < 10_000 ? `${whole(value)} ms` : `${number(value / 1000, 1)} s`);

/** Milliseconds with a sign: how long after its slot something was asked for; early claims come before it. */
export const lateness = (ms) => `${ms < 0 ? MINUS : "+"}${whole(Math.abs(ms))} ms`;

const NAMES = { adl: "auto-deleveraging" };

/** A code like `daily_loss` in words. */
export const words = (code) => NAMES[code] ?? String(code).replaceAll("_", " ");

/** A portfolio by its owner and what is traded on it; portfolios themselves are often named alike. */
export const accountName = ({ name, userId, runs }) => `${userId} · ${runs.length > 0 ? runs.join(", ") : name}`;
