// Keys that will soon refuse calls, or already do.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { number } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { to } from "../../core/route.js";
import { html } from "../../core/view.js";
import { Answered, Empty, Tag, When } from "../../ui/basics.js";

const ENABLED = 1;
const EXPIRED = 3;
const EXHAUSTED = 4;
const SHOWN = 5;
const WEEK_S = 7 * 86_400;

/** {total, exhausted, expiring, expired} of one's keys: how many there are, and the first pages of those. */
export function useKeys(reads) {
  const list = (signal, parameters) => api.get("/api/token", { size: SHOWN, ...parameters }, { signal });
  return useAnswer(async (signal) => {
    if (!reads) return undefined;
    const [all, exhausted, expiring, expired] = await Promise.all([
      list(signal, { size: 1 }),
      list(signal, { status: EXHAUSTED, sort: "accessed_time" }),
      list(signal, { status: ENABLED, sort: "expired_time", order: "asc" }),
      list(signal, { status: EXPIRED, sort: "expired_time" }),
    ]);
    const now = Date.now() / 1000;
    const near = ({ expired_time: at }) => at > 0 && Math.abs(at - now) < WEEK_S;
    return {
      total: all.total, exhausted: exhausted.items, expiring: expiring.items.filter(near), expired: expired.items.filter(near),
    };
  }, []);
}

const KINDS = [
  ["exhausted", { status: EXHAUSTED }, "bad"],
  ["expiring", { status: ENABLED, sort: "expired_time", order: "asc" }, "warn"],
  ["expired", { status: EXPIRED }, undefined],
];

export const Attention = ({ keys }) => html`
  <section class="card"><h2>${t("dashboard.attention")}</h2>
    <${Answered} answer=${keys} lines=${5}>${(data) => (KINDS.some(([kind]) => data[kind].length > 0)
      ? KINDS.map(([kind, query, tone]) => data[kind].length > 0 && html`<${Few} key=${kind} kind=${kind} keys=${data[kind]} link=${to("/keys", query)} tone=${tone} />`)
      : html`<${Empty} icon="done" title=${t("dashboard.all_well")}><a href=${to("/keys")}>${t("dashboard.keys", { count: data.total, n: number(data.total) })}</a></${Empty}>`)}
    </${Answered}>
  </section>`;

const Few = ({ kind, keys, link, tone }) => html`
  <div class="row spread attention"><h3><${Tag} tone=${tone}>${t(`dashboard.${kind}`)}</${Tag}></h3><a class="small" href=${link}>${t("dashboard.show")}</a></div>
  <ul class="attention">${keys.map((key) => html`
    <li key=${key.id} class="row spread"><a class="break" href=${to("/keys", { edit: key.id })}>${key.name}</a>
      ${kind !== "exhausted" && html`<span class="small muted"><${When} at=${key.expired_time} /></span>`}</li>`)}
  </ul>`;
