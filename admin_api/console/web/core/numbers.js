// Numbers as they are typed.

/** A number; null where nothing was typed. What is no number stays as it is: the server says what is wrong with it. */
export function numberOf(given) {
  const text = String(given ?? "").trim().replaceAll(/[\s_]/g, "");
  if (text === "") return null;
  return Number.isFinite(Number(text)) ? Number(text) : given;
}

/** A number in a field: as it is written in full (1e-7 is no way to write a price). */
export function typed(value) {
  if (value === null || value === undefined) return "";
  return Number(value).toLocaleString("en", { useGrouping: false, maximumFractionDigits: 12 });
}
