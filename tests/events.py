"""What the console's reader of events has to make of a stream, however that is cut; and a script that tries it."""

CASES = [
    ("data: one\n\n", ["one"]),
    ("data:one\n\ndata: two\n\n", ["one", "two"]),
    ("data: one\r\n\r\ndata: two\r\rdata: three\n\n", ["one", "two", "three"]),
    ("data: of\ndata: two lines\n\n", ["of\ntwo lines"]),
    ("data:  a blank of its own\n\n", [" a blank of its own"]),
    ("data\n\n", [""]),
    ("data:\ndata:\n\n", ["\n"]),
    (": a sign of life\n\ndata: x\n\n", ["x"]),
    ("event: error\nid: 7\nretry: 10\ndata: {}\n\n", ["{}"]),
    ("event: nothing in it\n\n", []),
    ("database: no field of ours\n\n", []),
    ("data: ended by nothing\n", []),
    ("data: 令牌 🔑 é\n\n", ["令牌 🔑 é"]),
    ("\ufeffdata: after a mark\n\n", ["after a mark"]),
    ("data: a\n\n\n\ndata: [DONE]\n\n", ["a", "[DONE]"]),
    ("", []),
]

TRY = """
async (events, cases) => {
  const bytesOf = (text) => new TextEncoder().encode(text);
  async function read(pieces) {
    const left = [...pieces];
    const body = new ReadableStream({
      pull: (to) => (left.length ? to.enqueue(left.shift()) : to.close()),
    });
    const found = [];
    for await (const data of events.eventsOf(body)) found.push(data);
    return found;
  }
  const wrong = [];
  for (const [text, expected] of cases) {
    const whole = bytesOf(text);
    const cuts = [[whole], [...whole].map((byte) => Uint8Array.of(byte))];
    for (let at = 1; at < whole.length; at += 1) cuts.push([whole.slice(0, at), whole.slice(at)]);
    for (const pieces of cuts) {
      const found = await read(pieces);
      const right = JSON.stringify(found) === JSON.stringify(expected);
      if (!right) wrong.push([text, pieces.map(({ length }) => length), found]);
    }
  }
  return wrong;
}
"""
"""`wrong` readings of a module's `eventsOf`: each case whole, byte by byte, and cut in two at every place."""
