import { html } from "../../core/view.js";

/** How much of a whole is used, as a bar; the words say it, too. */
export const Part = ({ label, text, part, warn }) => html`
  <div class=${warn ? "quota warn" : "quota"}>
    <div class="row spread"><span class="muted">${label}</span><span class="tabular small">${text}</span></div>
    <div class="bar" aria-hidden="true"><i style=${{ width: `${Math.min(100, part * 100)}%` }}></i></div>
  </div>`;
