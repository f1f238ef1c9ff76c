// Words that the pages of people and of their wallets share.

import { loadArea } from "../../core/messages.js";

await loadArea("people");
