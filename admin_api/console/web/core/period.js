// Stretches of time that the address names: period=today, 7d, 30d, 1h, 24h, all, or custom with from and until.

const DAYS = { today: 1, "7d": 7, "30d": 30 };
const HOURS = { "1h": 1, "24h": 24 };

/** The midnight that began today, or so many days before, in the reader's zone. */
export function midnight(daysBefore = 0) {
  const at = new Date();
  at.setHours(0, 0, 0, 0);
  at.setDate(at.getDate() - daysBefore);
  return at.getTime() / 1000;
}

/** The name of the period in the address. */
export const periodName = (query, fallback) => query.get("period") || fallback;

/** {start, end} in Unix seconds of the period in the address; what is undefined has no bound. */
export function periodOf(query, fallback) {
  const name = periodName(query, fallback);
  if (name in DAYS) return { start: midnight(DAYS[name] - 1) };
  if (name in HOURS) return { start: Math.floor(Date.now() / 1000) - HOURS[name] * 3600 };
  if (name !== "custom") return {};
  return { start: secondsOf(query.get("from")), end: secondsOf(query.get("until"), 1) };
}

/** Of a day (its begin, or so many days later) or of a minute, as fields of forms write them. */
function secondsOf(text, daysLater = 0) {
  if (!text) return undefined;
  const isDay = !text.includes("T");
  const at = new Date(isDay ? `${text}T00:00` : text);
  if (isDay) at.setDate(at.getDate() + daysLater);
  return Number.isNaN(at.getTime()) ? undefined : at.getTime() / 1000;
}

/** A day as a field of a form has it. */
export function dayText(seconds) {
  const at = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}
