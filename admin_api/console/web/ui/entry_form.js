// The drawer in which an entry of the catalog is made, changed or, where it is the file's, read.

import { api } from "../core/api.js";
import { useAnswer, useSending } from "../core/answers.js";
import { t } from "../core/messages.js";
import { useSession } from "../core/session.js";
import { html, useEffect, useState } from "../core/view.js";
import { Button, Notice, Problem } from "./basics.js";
import { Drawer, tell } from "./dialogs.js";
import { pathOf } from "./entries.js";

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** The entry of a name, read anew with each `round`, for a drawer that an address opens; without one there is no drawer. */
export function useEntry(path, name, onMissing, round = 0) {
  const read = (signal) => (name ? api.get(pathOf(path, name), {}, { signal }) : Promise.resolve(null));
  const { data, failure } = useAnswer(read, [path, name, round]);
  useEffect(() => {
    if (!failure) return;
    tell(failure);
    onMissing();
  }, [failure]);
  return data?.name === name ? data : null;
}

/**
 * What a drawer edits: {draft, set, field, of, readOnly, …}.
 *
 * `draftOf(entry)` are the fields as they are typed (of none: those of a new entry), `bodyOf(draft)` what is sent of
 * them, whole. Sent is what differs from the entry; where somebody else was quicker, `rebase` puts what was typed here
 * on what is there now.
 */
export function useEntryForm({ path, entry, draftOf, bodyOf, first = {}, onSaved }) {
  const { may } = useSession();
  const [base, setBase] = useState(entry);
  const [draft, setDraft] = useState(() => ({ ...draftOf(entry), ...first }));
  const sending = useSending();
  const creating = !base?.version;
  const readOnly = !may("catalog.write") || base?.source === "file";
  const set = (changes) => setDraft((before) => ({ ...before, ...changes }));
  const of = (name) => sending.failure?.of?.(name);
  const changes = () => {
    const now = bodyOf(draft);
    const before = creating ? {} : bodyOf(draftOf(base));
    return Object.fromEntries(Object.entries(now).filter(([name, value]) => (creating ? value !== null : !same(value, before[name]))));
  };
  const save = () => sending.run(async () => {
    const options = { whole: true };
    const { data, late, remark } = creating
      ? await api.post(path, changes(), options)
      : await api.patch(pathOf(path, base.name), changes(), { ...options, version: base.version });
    tell(late ? t("saved_late") : remark || t("saved"));
    onSaved(data, creating);
  });
  const rebase = () => sending.run(async () => {
    const now = await api.get(pathOf(path, base.name));
    const [was, is] = [draftOf(base), draftOf(now)];
    setDraft({ ...is, ...Object.fromEntries(Object.entries(draft).filter(([name, value]) => !same(value, was[name]))) });
    setBase(now);
  });
  return {
    draft, set, of, save, rebase, creating, readOnly, entry: base, busy: sending.busy, failure: sending.failure,
    field: (name, label) => ({
      label, value: draft[name], mistake: of(name), disabled: readOnly, autocomplete: "off", onInput: (value) => set({ [name]: value }),
    }),
    list: (name, label) => ({
      label, value: draft[name], mistake: of(name), disabled: readOnly, onChange: (value) => set({ [name]: value }),
    }),
  };
}

/** `where` is how the configuration file calls it, such as [[upstreams]]; `head` stands above the fields. */
export function EntryDrawer({ form, title, where, head, onClose, children }) {
  const { entry } = form;
  const foot = form.readOnly
    ? html`<${Button} onClick=${onClose}>${t("close")}</${Button}>`
    : html`
      <${Trouble} form=${form} />
      <${Button} onClick=${onClose}>${t("cancel")}</${Button}>
      <${Button} type="submit" tone="primary" busy=${form.busy}>${t(form.creating ? "create" : "save")}</${Button}>`;
  return html`
    <${Drawer} title=${title} onClose=${onClose} onSubmit=${form.readOnly ? undefined : form.save} keep=${!form.readOnly} foot=${foot}>
      ${head}
      ${entry?.source === "file" && html`<${Notice}>${t("entries.read_only", { where })}</${Notice}>`}
      ${entry?.broken && html`<${Notice} tone="bad">${t("entries.broken_text", { why: entry.broken })}</${Notice}>`}
      ${children}
    </${Drawer}>`;
}

function Trouble({ form }) {
  if (!form.failure) return null;
  const changed = form.failure.code === "version_mismatch";
  return html`
    <div class="foot-problem">
      ${changed
        ? html`<${Notice} tone="warn" live>${t("entries.changed_meanwhile")} <${Button} size="small"
          onClick=${form.rebase}>${t("entries.rebase")}</${Button}></${Notice}>`
        : html`<${Problem} failure=${form.failure} />`}
    </div>`;
}
