import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { clock } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Answered, Button, Page } from "../../ui/basics.js";
import { Calls } from "./calls.js";
import { CallsCard, CatalogCard, LedgerCard, OutboxCard, PostgresCard, ValkeyCard } from "./stores.js";
import { Upstreams } from "./upstreams.js";

const EVERY_S = 3;

/** How the installation is, again every few seconds until somebody pauses it. */
export default function State() {
  const { may } = useSession();
  const [paused, setPaused] = useState(false);
  const every = { every: paused ? 0 : EVERY_S };
  const answer = useAnswer((signal) => api.get("/api/state", {}, { signal }), [], every);
  const read = (signal) => (may("token.read_any") ? api.get("/api/reservation", {}, { signal }) : Promise.resolve(null));
  const running = useAnswer(read, [], every);
  const actions = html`
    <span class="muted small tabular">${answer.data && t("state.as_of", { time: clock(answer.data.at) })}</span>
    <${Button} icon=${paused ? "play" : "pause"} aria-pressed=${paused ? "true" : "false"} onClick=${() => setPaused(!paused)}>
      ${t(paused ? "state.go_on" : "state.pause")}</${Button}>`;
  return html`
    <${Page} title=${t("page.state")} text=${t("state.text")} actions=${actions}>
      <${Answered} answer=${answer} lines=${10}>${(state) => html`
        <div class="stack">
          <div class="grid state-cards">
            <${PostgresCard} state=${state.postgres} />
            <${ValkeyCard} state=${state.valkey} gateways=${state.gateways} />
            <${CallsCard} state=${state.calls} />
            <${LedgerCard} state=${state.ledger} at=${state.at} />
            <${OutboxCard} state=${state.outbox} />
            <${CatalogCard} state=${state.catalog} version=${state.version} />
          </div>
          <${Calls} sums=${state.calls} answer=${running} />
          <${Upstreams} upstreams=${state.upstreams} />
        </div>`}</${Answered}>
    </${Page}>`;
}
