// Days as date fields have them (2026-11-26), in the reader's zone.

const padded = (value) => String(value).padStart(2, "0");

/** The day of a time in Unix seconds; empty for none. */
export function dayOf(seconds) {
  if (!seconds) return "";
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${padded(at.getMonth() + 1)}-${padded(at.getDate())}`;
}

const secondsOf = (day, clock) => (day ? Math.floor(new Date(`${day}T${clock}`).getTime() / 1000) : null);

/** When a day begins, and its last second; null for none. */
export const beginOf = (day) => secondsOf(day, "00:00:00");
export const endOf = (day) => secondsOf(day, "23:59:59");
