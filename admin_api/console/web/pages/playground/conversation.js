// A conversation as state: what was said, and what comes at present.

import { useEffect, useRef, useState } from "../../core/view.js";
import { bodyOf, call } from "./chat.js";

/**
 * {said, busy, send(text), stop, clear} of a chat. Each of `said` is {id, role, text, state}, and of an answer also {model, tokenId,
 * requestId, firstMs, allMs, usage, finish, failure}; its state is writing, done, stopped, cut or refused.
 */
export function useConversation(settings) {
  const [said, setSaid] = useState([]);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);
  const change = (id, make) => setSaid((all) => all.map((each) => (each.id === id ? { ...each, ...make(each) } : each)));

  const send = async (text) => {
    const asked = new AbortController();
    running.current = asked;
    const question = { id: `q${said.length}`, role: "user", text };
    const id = `a${said.length}`;
    const { tokenId, model } = settings;
    setSaid([...said, question, { id, role: "assistant", text: "", state: "writing", tokenId, model }]);
    const begun = performance.now();
    const end = (more) => change(id, () => ({ ...more, allMs: performance.now() - begun }));
    try {
      const whole = await call(tokenId, bodyOf(settings, [...said, question]), (part) => change(id, merged(part)), asked.signal);
      end({ state: whole ? "done" : "cut" });
    } catch (failure) {
      if (asked.signal.aborted) return end({ state: "stopped" });
      // A connection that broke off in the middle is no refusal.
      change(id, (now) => ({ failure, state: now.text ? "cut" : "refused", allMs: performance.now() - begun }));
    } finally {
      if (running.current === asked) running.current = null;
    }
    return undefined;
  };
  return {
    said, send,
    busy: said.at(-1)?.state === "writing",
    stop: () => running.current?.abort(),
    clear: () => {
      running.current?.abort();
      setSaid([]);
    },
  };
}

const merged = ({ text, firstMs, ...part }) => (now) => ({
  ...part, text: now.text + (text ?? ""), firstMs: now.firstMs ?? firstMs,
});
