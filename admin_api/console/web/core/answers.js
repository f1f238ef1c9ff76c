// What the server says, as the state of a page.

import { useEffect, useRef, useState } from "./view.js";

/**
 * {data, failure, loading, reload} of what `ask(signal)` promises; asked again when one of `inputs` changes.
 *
 * The earlier data stays until there is newer, so nothing jumps. `every` seconds, where given, it is asked again.
 */
export function useAnswer(ask, inputs, { every } = {}) {
  const [state, setState] = useState({ data: undefined, failure: null, loading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const asked = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    ask(asked.signal).then(
      (data) => asked.signal.aborted || setState({ data, failure: null, loading: false }),
      (failure) => asked.signal.aborted || setState((before) => ({ ...before, failure, loading: false })),
    );
    return () => asked.abort();
  }, [...inputs, round]);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => document.hidden || setRound((n) => n + 1), every * 1000);
    return () => clearInterval(timer);
  }, [every]);
  return { ...state, reload: () => setRound((n) => n + 1) };
}

/**
 * {busy, failure, run, clear} of something that is sent once at a time.
 *
 * `run(send)` answers whether it worked; what went wrong is in `failure`.
 */
export function useSending() {
  const [state, setState] = useState({ busy: false, failure: null });
  const here = useRef(true);
  useEffect(() => () => { here.current = false; }, []);
  const run = async (send) => {
    setState({ busy: true, failure: null });
    let failure = null;
    try {
      await send();
    } catch (error) {
      failure = error;
    }
    if (here.current) setState({ busy: false, failure });
    return failure === null;
  };
  return { ...state, run, clear: () => setState({ busy: false, failure: null }) };
}

/** A value that follows another once that has been the same for a moment: for searches while somebody types. */
export function useSettled(value, milliseconds = 250) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), milliseconds);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
