"""Streams of the neutral form: made of an answer, folded into one again, and what their order promises."""

from collections.abc import Iterable, Iterator

from gateway.domain.translation.answers import (
    Answer,
    Choice,
    Cited,
    Counted,
    Delta,
    Ended,
    Failed,
    Finished,
    Logprob,
    PartEnded,
    PartStarted,
    Ping,
    Shown,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.codec import Codec
from gateway.domain.translation.conversation import (
    Declined,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
)


def events(written: bytes) -> list[tuple[bytes, bytes]]:
    """The names and data of events, by the rules of server-sent events that both dialects keep to."""
    found = []
    for block in written.split(b"\n\n"):
        name, data = b"", []
        for line in block.split(b"\n"):
            if line.startswith(b"event: "):
                name = line[7:]
            elif line.startswith(b"data: "):
                data.append(line[6:])
            else:
                assert not line or line.startswith(b":"), line
        if data:
            found.append((name, b"\n".join(data)))
    return found


def written(codec: Codec, deltas: Iterable[Delta]) -> bytes:
    writer = codec.writer(model="m", now=7)
    return b"".join(writer.write((delta,)) for delta in deltas)


def read(codec: Codec, stream: bytes) -> list[Delta]:
    reader = codec.reader()
    deltas = [delta for name, data in events(stream) for delta in reader.event(name, data)]
    return [*deltas, *reader.end()]


def deltas_of(answer: Answer, pieces: int) -> Iterator[Delta]:
    """A stream that folds to the answer, its texts in pieces of so many characters."""
    yield Started(answer.id, answer.model, answer.created)
    for number, choice in enumerate(answer.choices):
        for part in choice.parts:
            yield from _deltas_of_part(number, part, pieces)
        yield Finished(number, choice.finish, choice.stop_sequence)
    if answer.usage is not None:
        yield Counted(answer.usage)
    yield Ended()


def _deltas_of_part(number: int, part: Part, pieces: int) -> Iterator[Delta]:
    match part:
        case Text():
            yield PartStarted(number, "text")
            yield from _pieces(number, part.text, pieces)
            for citation in part.citations:
                yield Cited(number, citation)
        case Image():
            yield Shown(number, part)
            return
        case Thought():
            yield PartStarted(number, "thought")
            yield from _pieces(number, part.text, pieces)
            if part.signature or part.redacted:
                yield Signed(number, part.signature, part.redacted)
        case ToolCall():
            yield PartStarted(number, "tool", part.id, part.name, part.signature)
            yield from _pieces(number, part.arguments, pieces)
        case Declined():
            yield PartStarted(number, "declined")
            yield from _pieces(number, part.text, pieces)
        case _:
            raise AssertionError(part)
    yield PartEnded(number)


def _pieces(number: int, text: str, pieces: int) -> Iterator[Delta]:
    for start in range(0, len(text), pieces):
        yield TextDelta(number, text[start : start + pieces])


def keep_order(deltas: list[Delta]) -> None:
    """What a reader promises of the order."""
    if deltas and isinstance(deltas[0], Failed):
        return
    assert isinstance(deltas[0], Started)
    assert isinstance(deltas[-1], Ended | Failed)
    opened: dict[int, str] = {}
    finished: set[int] = set()
    for delta in deltas[1:-1]:
        assert not isinstance(delta, Started | Ended | Failed)
        if isinstance(delta, Counted | Ping):
            continue
        assert delta.choice not in finished
        match delta:
            case PartStarted():
                assert delta.choice not in opened
                assert delta.kind != "tool" or (delta.id and delta.name)
                opened[delta.choice] = delta.kind
            case PartEnded():
                opened.pop(delta.choice)
            case Shown():
                assert delta.choice not in opened
            case TextDelta():
                assert delta.text
                assert delta.choice in opened
            case Signed():
                assert opened[delta.choice] == "thought"
            case Cited():
                assert opened[delta.choice] == "text"
            case Finished():
                assert delta.choice not in opened
                finished.add(delta.choice)
    assert isinstance(deltas[-1], Failed) or not opened


def fold(deltas: Iterable[Delta]) -> Answer:
    """The whole answer that a stream tells."""
    parts: dict[int, list[Part]] = {}
    ends: dict[int, Finished] = {}
    probable: dict[int, list[Logprob]] = {}
    opened: dict[int, list[Delta]] = {}
    started, usage = Started("", ""), None
    for delta in deltas:
        match delta:
            case Started():
                started, usage = delta, delta.usage
            case Counted():
                usage = delta.usage
            case Finished():
                ends[delta.choice] = delta
                parts.setdefault(delta.choice, [])
            case PartEnded():
                parts.setdefault(delta.choice, []).append(_folded(opened.pop(delta.choice)))
            case Shown():
                parts.setdefault(delta.choice, []).append(delta.image)
            case PartStarted():
                opened[delta.choice] = [delta]
            case TextDelta() | Signed() | Cited():
                opened[delta.choice].append(delta)
                if isinstance(delta, TextDelta):
                    probable.setdefault(delta.choice, []).extend(delta.logprobs)
    choices = tuple(
        Choice(
            tuple(parts[number]),
            ends[number].finish,
            ends[number].stop_sequence,
            tuple(probable[number]) if probable.get(number) else None,
        )
        for number in sorted(ends)
    )
    return Answer(
        id=started.id, model=started.model, choices=choices, usage=usage, created=started.created
    )


def _folded(deltas: list[Delta]) -> Part:
    first = deltas[0]
    assert isinstance(first, PartStarted)
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    match first.kind:
        case "text":
            return Text(text, citations=tuple(d.citation for d in deltas if isinstance(d, Cited)))
        case "thought":
            signed = [delta for delta in deltas if isinstance(delta, Signed)]
            return Thought(
                text,
                "".join(delta.signature for delta in signed),
                "".join(delta.redacted for delta in signed),
            )
        case "tool":
            return ToolCall(first.id, first.name, text, first.signature)
        case "declined":
            return Declined(text)
