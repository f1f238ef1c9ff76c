"""A whole answer as a response. Pure."""

from collections.abc import Iterator

import orjson

from gateway.domain.translation.answers import Answer, Choice, Finish
from gateway.domain.translation.conversation import Declined, Image, Text, Thought, ToolCall
from gateway.domain.translation.responses import items
from gateway.domain.translation.responses.items import Ids, Json


def write_answer(answer: Answer, *, model: str, now: int) -> bytes:
    """A whole answer for a caller, who called the model `model`. Responses have one choice."""
    ids = Ids(answer.id)
    choice = next(iter(answer.choices), Choice((), Finish.STOP))
    output = list(_output(choice, ids))
    response = items.response_of(ids, model=model, created=answer.created or now, output=output)
    return orjson.dumps(items.end(response, choice.finish, answer.usage, now))


def _output(choice: Choice, ids: Ids) -> Iterator[Json]:
    """The items; texts that follow each other are one message."""
    index = 0
    content: list[Json] = []
    logprobs = items.logprobs_of(choice.logprobs or ())
    for part in choice.parts:
        match part:
            case Text():
                cited = [items.annotation_of(each, len(part.text)) for each in part.citations]
                content.append(items.output_text(part.text, cited, logprobs))
                logprobs = []
                continue
            case Declined():
                content.append(items.refusal(part.text))
                continue
            case Thought() | ToolCall() | Image():
                pass
            case _:
                continue
        if content:
            yield items.message(ids.item("msg", index), content)
            index, content = index + 1, []
        if isinstance(part, Thought):
            yield items.reasoning(ids.item("rs", index), part)
        elif isinstance(part, Image):
            yield items.picture(ids.item("ig", index), part)
        else:
            call = (part.id, part.name, part.arguments, part.signature)
            yield items.function_call(ids.item("fc", index), call)
        index += 1
    if content:
        yield items.message(ids.item("msg", index), content)
