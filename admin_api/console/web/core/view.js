// What every part of the page is made of: Preact with htm, which needs no build step.
// Texts put into html`…` become text nodes; nothing here ever reads markup.

import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Fragment, createContext, h, render } from "../vendor/preact.js";
export { useContext, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";

export const html = htm.bind(h);

/** One class attribute out of names, of which some may be false. */
export const classes = (...names) => names.filter(Boolean).join(" ");
