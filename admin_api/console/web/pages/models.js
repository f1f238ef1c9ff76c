import { api } from "../core/api.js";
import { useAnswer } from "../core/answers.js";
import { t } from "../core/messages.js";
import { html } from "../core/view.js";
import { Copy, Page } from "../ui/basics.js";
import { Table } from "../ui/table.js";

export default function Models() {
  const answer = useAnswer((signal) => api.get("/api/user/models", {}, { signal }), []);
  const columns = [
    { name: "name", title: t("models.name"), head: true, cell: (name) => html`<code>${name}</code> <${Copy} text=${name} />` },
  ];
  return html`<${Page} title=${t("page.models")} text=${t("models.text")}>
    <${Table} label=${t("page.models")} columns=${columns} answer=${answer} rowKey=${(name) => name} />
  </${Page}>`;
}
