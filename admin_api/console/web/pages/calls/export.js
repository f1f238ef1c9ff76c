// The calls of a filter as a file.

import { pathWith } from "../../core/api.js";
import { t } from "../../core/messages.js";

/** Items of a menu: the same calls as a table for spreadsheets, and as lines for programs. */
export const exports = (filter) => ["csv", "jsonl"].map((format) => ({
  icon: "download", text: t(`calls.export.${format}`), href: pathWith("/api/log/export", { ...filter, format }),
}));
