// Parts that lists of warnings share, and the test of a webhook.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { duration } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { html, useState } from "../../core/view.js";
import { Button, Problem, Tag } from "../../ui/basics.js";
import { aboutText, placeOf, scopeText } from "./words.js";

/** Of what it is, with a way to it. */
export const About = ({ each, own }) => html`
  <div><a href=${placeOf(each, own)}>${aboutText(each)}</a><div class="muted small">${scopeText(each)}
    ${each.scope === "token" && !own && each.username && html` · ${each.username}`}</div></div>`;

/** A button that calls a webhook now, and what it answered. */
export function Test({ path, target }) {
  const { busy, failure, run } = useSending();
  const [tried, setTried] = useState(null);
  const act = () => {
    setTried(null);
    run(async () => setTried(await api.post(path)));
  };
  return html`
    <span class="row tight tested"><${Button} size="small" icon="send" busy=${busy} label=${t("alerts.test_of", { target })} onClick=${act}>${t("alerts.test")}</${Button}>
      <span role="status">${tried && html`<${Outcome} tried=${tried} />`}</span></span>
    <${Problem} failure=${failure} />`;
}

function Outcome({ tried: { works, status, error, took_ms: took } }) {
  if (status === null) return html`<${Tag} tone="bad"><span class="wraps">${t("alerts.test_no_answer", { error })}</span></${Tag}>`;
  return html`<${Tag} tone=${works ? "good" : "bad"}>${t(works ? "alerts.test_works" : "alerts.test_fails", { status, took: duration(took) })}</${Tag}>`;
}
