// Lists that come in parts, which a cursor joins.

import { useAnswer, useSending } from "./answers.js";
import { useState } from "./view.js";

/**
 * {answer, more, busy, failure} of what `ask(cursor, signal)` promises: {items, next_cursor}.
 *
 * `answer.data` are the items so far; `more` fetches what comes behind them, and is null at the end.
 */
export function useParts(ask, inputs) {
  const first = useAnswer((signal) => ask("", signal), inputs);
  const [behind, setBehind] = useState({});
  const { busy, failure, run } = useSending();
  const known = behind.first === first.data ? behind : { first: first.data, items: [], next: first.data?.next_cursor };
  const more = () => run(async () => {
    const part = await ask(known.next);
    setBehind({ first: known.first, items: [...known.items, ...part.items], next: part.next_cursor });
  });
  const data = first.data && [...first.data.items, ...(known.items ?? [])];
  return { answer: { ...first, data }, more: known.next ? more : null, busy, failure };
}
