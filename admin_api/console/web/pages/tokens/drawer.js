// The drawers that make and change a key.

import { api } from "../../core/api.js";
import { useAnswer } from "../../core/answers.js";
import { t } from "../../core/messages.js";
import { once } from "../../core/once.js";
import { useSession } from "../../core/session.js";
import { html, useEffect, useMemo, useState } from "../../core/view.js";
import { Answered } from "../../ui/basics.js";
import { Drawer, tell } from "../../ui/dialogs.js";
import { Fold } from "../../ui/form.js";
import { changeOf, creationOf, draftOf } from "./draft.js";
import { Form } from "./form.js";
import { Secrets } from "./secrets.js";

/** Makes keys. `onMade(tokens)` gets them with their whole keys. `ownerId` is whose they are, null for oneself. */
export function Creation({ ownerId, onClose, onMade }) {
  const { self } = useSession();
  const [draft, setDraft] = useState(() => draftOf(null, { owner: ownerId ?? "" }));
  const ask = (signal) => (ownerId ? api.get(`/api/user/${ownerId}`, {}, { signal }) : Promise.resolve(self));
  const owner = useAnswer(ask, [ownerId]).data ?? self;
  const key = useMemo(once, [draft]); // what is sent again unchanged is not made twice
  const send = async () => {
    const made = await api.post("/api/token", creationOf(draft), { once: key });
    onMade(made.items ?? [made]);
  };
  return html`
    <${Form} title=${ownerId ? t("tokens.new_for", { name: owner.username }) : t("tokens.new")} action=${t("create")} token=${null}
      draft=${draft} setDraft=${setDraft} fallback=${owner.group} send=${send} onClose=${onClose} />`;
}

/** Changes the token `id`. */
export function Edit({ id, onClose, onChanged, onRotate }) {
  const answer = useAnswer((signal) => api.get(`/api/token/${id}`, {}, { signal }), [id]);
  if (answer.data?.id !== Number(id)) {
    return html`
      <${Drawer} title=${t("tokens.key")} onClose=${onClose}>
        <${Answered} answer=${{ ...answer, data: undefined }} lines=${8} />
      </${Drawer}>`;
  }
  const changed = () => {
    answer.reload();
    onChanged();
  };
  return html`<${EditForm} key=${id} token=${answer.data} changed=${changed} onClose=${onClose} onRotate=${onRotate} />`;
}

function EditForm({ token, changed, onClose, onRotate }) {
  const { self } = useSession();
  const [draft, setDraft] = useState(() => draftOf(token));
  const [stale, setStale] = useState(false);
  useEffect(() => {
    if (stale) setDraft(draftOf(token));
    setStale(false);
  }, [token.version]);
  const readAgain = () => {
    setStale(true);
    changed();
  };
  const send = async () => {
    const change = changeOf(draft, token);
    if (Object.keys(change).length) {
      const { late } = await api.patch(`/api/token/${token.id}`, change, { version: token.version, whole: true });
      tell(t(late ? "saved_late" : "saved"));
      changed();
    }
    onClose();
  };
  const ofOwner = token.inherited.includes("group") || token.user_id !== self.id ? token.group : self.group;
  return html`
    <${Form} title=${t("tokens.edit", { name: token.name })} action=${t("save")} token=${token} draft=${draft} setDraft=${setDraft}
      fallback=${ofOwner} send=${send} onClose=${onClose} readAgain=${readAgain}>
      <${Fold} title=${t("tokens.fold.secrets")}><${Secrets} token=${token} onRotate=${onRotate} onChanged=${changed} /></${Fold}>
    </${Form}>`;
}
