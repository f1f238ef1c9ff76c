// The list of calls as the page keeps it: parts by cursor, and what came since, as long as somebody watches.

import { api, pathWith } from "../../core/api.js";
import { useEffect, useRef, useState } from "../../core/view.js";

const PART = 50;
const TAIL_PART = 100;
const TAIL_MS = 2000;
const MOST_PARTS_BEHIND = 5;
/** Rows that are kept while they come by themselves. */
export const MOST_LIVE = 1000;
const NOTHING = { items: undefined, next: null, failure: null, loading: true, more: false, fresh: new Set(), cut: false };

/** {items, next, failure, loading, more, fresh, cut, reload, showMore} of the calls of `filter`; `live` keeps them coming. */
export function useCalls(filter, live) {
  const [state, setState] = useState(NOTHING);
  const [round, setRound] = useState(0);
  const change = (changes) => setState((before) => ({ ...before, ...(typeof changes === "function" ? changes(before) : changes) }));
  const asked = pathWith("", filter);
  const list = (more, signal) => api.get("/api/log", { ...filter, limit: PART, ...more }, { signal });
  const present = useRef(asked);
  present.current = asked;

  useEffect(() => {
    const asking = new AbortController();
    change({ loading: true, failure: null });
    list({}, asking.signal).then(
      ({ items, next_cursor: next }) => asking.signal.aborted || setState({ ...NOTHING, items, next, loading: false }),
      (failure) => asking.signal.aborted || change({ loading: false, failure }),
    );
    return () => asking.abort();
  }, [asked, round]);

  const begun = state.items !== undefined;
  const known = useRef([]);
  known.current = state.items ?? [];
  useEffect(() => {
    if (!live || !begun) return undefined;
    return every(TAIL_MS, async (signal) => {
      const news = await since(known.current, (cursor) => list({ limit: TAIL_PART, cursor }, signal));
      if (!signal.aborted) change((before) => ({ ...merged(before, news), failure: null }));
    }, (failure) => change({ failure }));
  }, [live, begun, asked, round]);

  const showMore = async () => {
    change({ more: true });
    try {
      const { items, next_cursor: next } = await list({ cursor: state.next });
      if (present.current === asked) change((before) => ({ items: joined(before.items, items), next, more: false, fresh: new Set() }));
    } catch (failure) {
      change({ more: false, failure });
    }
  };
  return { ...state, showMore, reload: () => setRound((n) => n + 1) };
}

/** Does something, waits, does it again, while the page is seen; answers what ends that. */
function every(milliseconds, act, whenFailed) {
  const ending = new AbortController();
  let timer;
  const round = async () => {
    if (!document.hidden) {
      try {
        await act(ending.signal);
      } catch (failure) {
        if (!ending.signal.aborted) whenFailed(failure);
      }
    }
    if (!ending.signal.aborted) timer = setTimeout(round, milliseconds);
  };
  round();
  return () => {
    ending.abort();
    clearTimeout(timer);
  };
}

/** {items, whole, next} of the newest calls, back to those that are known; `whole` says that it reaches them. */
async function since(items, ask) {
  const newest = items[0]?.request_id ?? "";
  let found = [];
  let next;
  for (let parts = 0; parts < MOST_PARTS_BEHIND; parts += 1) {
    const part = await ask(next);
    found = [...found, ...part.items];
    next = part.next_cursor;
    if (next === null || part.items.at(-1).request_id <= newest) return { items: found, whole: true, next };
  }
  return { items: found, whole: false, next };
}

/** The list with what is new. A call stands where it began, so one that ended late comes in between. */
function merged(before, { items, whole, next }) {
  if (!whole) return { items, next, fresh: new Set(), cut: false };
  const known = new Set(before.items.map((call) => call.request_id));
  // What is behind the list's end comes with "show more".
  const end = before.next ? before.items.at(-1).request_id : "";
  const fresh = items.filter((call) => call.request_id > end && !known.has(call.request_id));
  if (fresh.length === 0) return {};
  const all = joined(before.items, fresh);
  const cut = before.cut || all.length > MOST_LIVE;
  return { items: all.slice(0, MOST_LIVE), next: cut ? null : before.next, fresh: new Set(fresh.map((call) => call.request_id)), cut };
}

/** Ids are made of the instants at which calls began. */
function joined(some, others) {
  const all = new Map([...some, ...others].map((call) => [call.request_id, call]));
  return [...all.values()].sort((a, b) => (a.request_id < b.request_id ? 1 : -1));
}
