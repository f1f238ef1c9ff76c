// The words of accounts, which the page Wallet uses, too.

import { loadArea } from "../../core/messages.js";

await loadArea("accounts");
