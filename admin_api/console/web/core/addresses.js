// Addresses that the server tells, as they are of use from where the reader is.

const EVERYWHERE = new Set(["0.0.0.0", "[::]"]);

export const isLoopback = (host) => host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);

/**
 * {url, local}: where an address of this installation is found. What listens everywhere is found where this page came from.
 *
 * `local` says that it works on the server alone, while the reader is elsewhere.
 */
export function reachable(url, page = location) {
  const found = new URL(url);
  if (EVERYWHERE.has(found.hostname)) found.hostname = page.hostname;
  return { url: found.href.replace(/\/$/, ""), local: isLoopback(found.hostname) && !isLoopback(page.hostname) };
}
