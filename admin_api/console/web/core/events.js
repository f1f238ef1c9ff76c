// Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html reads them.

/** A reader of text that comes in pieces, cut anywhere: `read(text)` answers the data of the events that are whole by now. */
export function eventReader() {
  let rest = "";
  let data = [];
  let returned = false;
  const line = (text, found) => {
    if (text === "") {
      if (data.length) found.push(data.join("\n"));
      data = [];
    } else if (text.startsWith("data:")) {
      data.push(text.slice(text[5] === " " ? 6 : 5));
    } else if (text === "data") {
      data.push("");
    } // comments and other fields say nothing to us
  };
  return {
    read(text) {
      const found = [];
      if (text === "") return found;
      // A carriage return at the end may have been half of a line's end.
      const lines = (rest + (returned && text[0] === "\n" ? text.slice(1) : text)).split(/\r\n|\n|\r/);
      returned = text.endsWith("\r");
      rest = lines.pop();
      for (const each of lines) line(each, found);
      return found;
    },
  };
}

/** The data of each event of a body, as they come. */
export async function* eventsOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events = eventReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return; // an event that nothing ended is none
      yield* events.read(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
