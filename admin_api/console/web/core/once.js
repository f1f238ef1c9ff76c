/** A new Idempotency-Key; `crypto.randomUUID` is missing on plain http. */
export const once = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
