import { t } from "../../core/messages.js";
import { refine } from "../../core/route.js";
import { useSession } from "../../core/session.js";
import { html } from "../../core/view.js";
import { Segments } from "../../ui/basics.js";

const VIEWS = ["edit", "test", "offers"];

/** What an upstream's drawer shows: its settings, a test call, or what the provider lists. */
export function Views({ name, shown }) {
  const { may } = useSession();
  const views = VIEWS.filter((each) => each !== "test" || may("catalog.write"));
  const closed = Object.fromEntries(VIEWS.map((each) => [each, ""]));
  return html`<div><${Segments} label=${name} value=${shown} options=${views.map((each) => [each, t(`upstreams.view.${each}`)])}
    onChange=${(view) => refine({ ...closed, [view]: name })} /></div>`;
}
