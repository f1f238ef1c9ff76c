import { api } from "../core/api.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { useSending } from "../core/answers.js";
import { html, useEffect } from "../core/view.js";
import { Button, Notice, Problem } from "../ui/basics.js";
import { tell } from "../ui/dialogs.js";

/** Says that an address is to be verified before the first key, for as long as it is so. */
export function Unverified() {
  const { status, self, may, refresh } = useSession();
  const { busy, failure, run } = useSending();
  const wanted = status.email_verification_required && !self.email_verified && !may("token.write_any");
  useEffect(() => {
    // The link is opened in another tab.
    const look = () => wanted && !document.hidden && refresh();
    addEventListener("visibilitychange", look);
    return () => removeEventListener("visibilitychange", look);
  }, [wanted]);
  if (!wanted) return null;
  const send = async () => {
    await api.post("/api/user/self/verify");
    tell(t("verify_sent"));
  };
  return html`<div class="stack tight unverified">
    <${Notice} tone="warn"><span>${t(self.email ? "verify_notice" : "verify_no_email", { email: self.email })}</span>
      ${self.email && status.mail && html` <${Button} size="small" busy=${busy} onClick=${() => run(send)}>${t("verify_again")}</${Button}>`}</${Notice}>
    <${Problem} failure=${failure} />
  </div>`;
}
