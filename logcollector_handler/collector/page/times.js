// Points in time: what people write for them, and how they are shown, in the zone of the browser. All are Unix seconds.

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
const AGO = /^-(\d{1,9}(?:\.\d{1,9})?)([smhdw])$/;
const DATE = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?\s*(Z|[+-]\d\d:?\d\d)?$/i;
// Seconds as a number are under this; larger numbers would be milliseconds.
const LIMIT = 100_000_000_000;

export const WRITTEN = "a time is -15m, -1h or -7d, a date as 2026-01-31 12:00 (with Z or +02:00 if it is not of this zone), or Unix seconds";

const now = () => Date.now() / 1000;

// The time that `text` stands for; null if it is none. A date without a zone is in that of the browser.
export function seconds(text, from = now()) {
  const plain = text.trim();
  if (plain === "now") return from;
  const ago = AGO.exec(plain);
  if (ago) return from - Number(ago[1]) * UNITS[ago[2]];
  if (/^-?\d+(\.\d+)?$/.test(plain)) return Math.abs(Number(plain)) < LIMIT ? Number(plain) : null;
  const [, date, time, zone] = DATE.exec(plain) ?? [];
  if (!date) return null;
  const ms = Date.parse(`${date}T${time ?? "00:00"}${(zone ?? "").replace(/^([+-]\d\d):?(\d\d)$/, "$1:$2").toUpperCase()}`);
  return Number.isNaN(ms) ? null : ms / 1000;
}

// A text as the address of the page keeps it: one that counts from now as it is, a date with its zone, so that the link
// means the same time everywhere. null if it is no time.
export function kept(text) {
  const plain = text.trim();
  const time = seconds(plain);
  if (time === null) return null;
  return AGO.test(plain) || plain === "now" ? plain : isoUtc(time);
}

// With milliseconds; the number itself where no date can be that.
export function isoUtc(time) {
  const date = new Date(Math.round(time * 1000));
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

const pad = (number, width = 2) => String(Math.trunc(number)).padStart(width, "0");

// The parts of a time, as text: `date`, `time` with milliseconds, `zone` as Z or +01:00. null if it is outside the range
// of dates; callers then show the number itself.
export function parts(time) {
  const date = new Date(time * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const east = -date.getTimezoneOffset();
  return {
    date: `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`,
    time: `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`,
    zone: east ? `${east > 0 ? "+" : "-"}${pad(Math.abs(east) / 60)}:${pad(Math.abs(east) % 60)}` : "Z",
  };
}

// A time with its zone: 2026-01-31T12:00:00.000+01:00.
export function iso(time) {
  const { date, time: clock, zone } = parts(time) ?? {};
  return date ? `${date}T${clock}${zone}` : String(time);
}

// A time without its zone, as people read and write it; without milliseconds unless asked for.
export function moment(time, { millis = false, date: withDate = true } = {}) {
  const found = parts(time);
  if (!found) return String(time);
  const clock = millis ? found.time : found.time.slice(0, 8);
  return withDate ? `${found.date} ${clock}` : clock;
}

// An interval; its date is told once where both ends have the same.
export function interval(since, until) {
  const isSame = parts(since)?.date === parts(until)?.date;
  return `${moment(since)} – ${moment(until, { date: !isSame })}`;
}
