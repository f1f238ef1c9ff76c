// The table of pages: where each is, in which part of the side bar, who sees it, and what makes it.
//
// `area` names its texts (messages/LANGUAGE/AREA.json); both are fetched when the page is first opened.
// A path without a drawing stands in no side bar. `:name` is a part that the page gets.

export const PAGES = [
  { path: "/", area: "dashboard", icon: "dashboard", part: "work", make: () => import("./pages/dashboard.js") },
  { path: "/keys", area: "tokens", icon: "key", part: "work", permission: "token.read", make: () => import("./pages/tokens/page.js") },
  { path: "/keys/:id/why", area: "tokens", below: "/keys", permission: "token.read", make: () => import("./pages/tokens/why.js") },
  { path: "/usage", area: "usage", icon: "usage", part: "work", permission: "token.read", make: () => import("./pages/usage/page.js") },
  { path: "/log", area: "log", icon: "log", part: "work", permission: "token.read", make: () => import("./pages/log/page.js") },
  { path: "/models", area: "models", icon: "models", part: "work", permission: "catalog.read", make: () => import("./pages/models/page.js") },
  { path: "/playground", area: "playground", icon: "chat", part: "work", permission: "token.write", make: () => import("./pages/playground/page.js") },
  { path: "/endpoints", area: "endpoints", icon: "endpoints", part: "work", make: () => import("./pages/endpoints/page.js") },

  { path: "/wallet", area: "wallet", icon: "wallet", part: "own", permission: "account.read", make: () => import("./pages/wallet/page.js") },
  { path: "/warnings", area: "warnings", icon: "alert", part: "own", make: () => import("./pages/warnings/page.js") },
  { path: "/account", area: "account", icon: "account", part: "own", make: () => import("./pages/account/page.js") },

  ...administration([
    { path: "/admin/users", area: "users", icon: "people", permission: "user.read", make: () => import("./pages/users/page.js") },
    { path: "/admin/accounts", area: "accounts", icon: "wallet", permission: "account.read_any", make: () => import("./pages/accounts/page.js") },
    { path: "/admin/accounts/:id", area: "accounts", below: "/admin/accounts", permission: "account.read_any", make: () => import("./pages/accounts/account.js") },
    { path: "/admin/groups", area: "groups", icon: "group", permission: "catalog.read_any", make: () => import("./pages/groups/page.js") },
    { path: "/admin/upstreams", area: "upstreams", icon: "upstream", permission: "catalog.read_any", make: () => import("./pages/upstreams/page.js") },
    { path: "/admin/models", area: "catalog", icon: "price", permission: "catalog.read_any", make: () => import("./pages/catalog/page.js") },
    { path: "/admin/redeem", area: "redeem", icon: "redeem", permission: "account.read_any", make: () => import("./pages/redeem/page.js") },
    { path: "/admin/invites", area: "invites", icon: "mail", permission: "user.read", make: () => import("./pages/invites/page.js") },
    { path: "/admin/alerts", area: "alerts", icon: "warning", permission: "audit.read", make: () => import("./pages/alerts/page.js") },
    { path: "/admin/audit", area: "audit", icon: "audit", permission: "audit.read", make: () => import("./pages/audit/page.js") },
    { path: "/admin/state", area: "state", icon: "state", permission: "catalog.read_any", make: () => import("./pages/state/page.js") },
  ]),
];

function administration(pages) {
  return pages.map((page) => ({ ...page, part: "administration" }));
}

/** The page of a place, with what stands for its `:names`; undefined where there is none. */
export function pageOf({ path }) {
  const given = path.split("/");
  for (const page of PAGES) {
    const wanted = page.path.split("/");
    if (wanted.length !== given.length) continue;
    const names = {};
    const fits = wanted.every((part, n) => {
      if (!part.startsWith(":")) return part === given[n];
      names[part.slice(1)] = decodeURIComponent(given[n]);
      return given[n] !== "";
    });
    if (fits) return { page, names };
  }
  return undefined;
}
