// A small form that stands in a page and is sent as one.

import { useSending } from "../core/answers.js";
import { html } from "../core/view.js";
import { Button, Problem } from "./basics.js";

/** The failure, unless each of its mistakes is told at one of these fields. */
export function unplaced(failure, fields) {
  const mistakes = failure?.errors ?? [];
  const placed = mistakes.every(({ field }) => fields.some((each) => field === each || field?.startsWith(`${each}.`)));
  return mistakes.length && placed ? null : failure;
}

/**
 * A form of `children(failure)` and a button with the words `action`. `send()` is awaited; `fields` are those that tell
 * their mistakes themselves. What else goes wrong is made by `told(failure)`, where that is given. `before` stands above
 * the fields.
 */
export function SentForm({ action, send, fields = [], tone = "primary", disabled, told, before, children }) {
  const { busy, failure, run } = useSending();
  const submit = (event) => {
    event.preventDefault();
    run(send);
  };
  const rest = unplaced(failure, fields);
  return html`
    <form class="stack" onSubmit=${submit}>
      ${before}${children?.(failure)}
      ${rest && (told?.(rest) ?? html`<${Problem} failure=${rest} />`)}
      <div class="row"><${Button} type="submit" tone=${tone} busy=${busy} disabled=${disabled}>${action}</${Button}></div>
    </form>`;
}
