import { t } from "../core/messages.js";
import { html } from "../core/view.js";
import { Page } from "../ui/basics.js";

export default function Dashboard() {
  return html`<${Page} title=${t("page.dashboard")}></${Page}>`;
}
