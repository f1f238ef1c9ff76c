// Redeeming a code: its amount comes onto the wallet that is shown.

import { api } from "../../core/api.js";
import { useSending } from "../../core/answers.js";
import { usd } from "../../core/format.js";
import { t } from "../../core/messages.js";
import { useSession } from "../../core/session.js";
import { html, useState } from "../../core/view.js";
import { Button, Notice } from "../../ui/basics.js";
import { Text } from "../../ui/form.js";
import { FormProblem } from "../people/parts.js";

export function Redeem({ account, onRedeemed }) {
  const { refresh } = useSession();
  const [code, setCode] = useState("");
  const [done, setDone] = useState(null);
  const { busy, failure, run } = useSending();
  const send = async (event) => {
    event.preventDefault();
    setDone(null);
    await run(async () => {
      const used = await api.post("/api/redeem/use", { key: code, account_id: account.id });
      setCode("");
      setDone(used);
      onRedeemed();
      await refresh();
    });
  };
  return html`<form class="card stack tight" onSubmit=${send} novalidate>
    <h2>${t("wallet.redeem")}</h2>
    <div class="redeem">
      <${Text} label=${t("wallet.code")} hint=${t("wallet.code_hint")} value=${code} onInput=${setCode} mistake=${failure?.of?.("key")}
        autocomplete="off" autocapitalize="characters" spellcheck="false" class="mono" />
      <${Button} type="submit" tone="primary" busy=${busy} disabled=${code.trim() === ""}>${t("wallet.redeem_act")}</${Button}>
    </div>
    ${done && html`<${Notice} tone="good"
      live>${t("wallet.redeemed", { amount: usd(done.entry.amount_usd), left: usd(done.remain_usd) })}</${Notice}>`}
    ${failure && !failure.of?.("key") && html`<${FormProblem} failure=${failure} />`}
  </form>`;
}
