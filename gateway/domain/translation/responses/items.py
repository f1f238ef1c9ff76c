"""The items that a response consists of, and the response itself, as callers get them. Pure.

https://platform.openai.com/docs/api-reference/responses/object
"""

from collections.abc import Sequence
from typing import Any

from gateway.domain.translation.answers import Finish, Logprob
from gateway.domain.translation.conversation import Citation, Image, Thought
from gateway.domain.translation.proofs import write_proof
from gateway.domain.translation.responses.usage import counts_of
from gateway.domain.usage import Usage

Json = dict[str, Any]

# Why a response is incomplete; None: for a reason that OpenAI has no word for.
_INCOMPLETE: dict[Finish, str | None] = {
    Finish.LENGTH: "max_output_tokens",
    Finish.CONTENT_FILTER: "content_filter",
    Finish.DECLINED: "content_filter",
    Finish.PAUSED: None,
    Finish.MALFORMED: None,
}


_PICTURES = frozenset({"png", "webp", "jpeg", "gif"})


class Ids:
    """Ids made of the answer's own: of the response, and of its items by kind and place."""

    def __init__(self, answer_id: str) -> None:
        self._stem = answer_id.removeprefix("resp_")

    @property
    def response(self) -> str:
        """The response's."""
        return f"resp_{self._stem}"

    def item(self, kind: str, index: int) -> str:
        """An item's; `kind` is `msg`, `rs`, `fc` or `ig`."""
        return f"{kind}_{self._stem}_{index}"


def response_of(
    ids: Ids, *, model: str, created: int, output: Sequence[Json], status: str = "in_progress"
) -> Json:
    """A response. What would repeat the request is what is usual, for nothing is kept of it."""
    return {
        "id": ids.response,
        "object": "response",
        "created_at": created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None,
    }


def end(response: Json, finish: Finish, usage: Usage | None, now: int) -> Json:
    """The response, ended for this reason."""
    if finish in _INCOMPLETE:
        response["status"] = "incomplete"
        response["incomplete_details"] = {"reason": _INCOMPLETE[finish]}
    else:
        response["status"] = "completed"
        response["completed_at"] = now
    if usage is not None:
        response["usage"] = counts_of(usage)
    return response


def message(item_id: str, content: Sequence[Json], status: str = "completed") -> Json:
    """A message of the model."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def output_text(text: str, annotations: Sequence[Json] = (), logprobs: Sequence[Json] = ()) -> Json:
    """What it says in it."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": logprobs,
    }


def refusal(text: str) -> Json:
    """What it says instead."""
    return {"type": "refusal", "refusal": text}


def reasoning(item_id: str, thought: Thought, status: str = "completed") -> Json:
    """What it has thought. `encrypted_content` is what proves it to the next call's upstream.

    It stands in every item, for one that comes back without is taken for an id of something that is kept elsewhere.
    """
    return {
        "id": item_id,
        "type": "reasoning",
        "status": status,
        "summary": [{"type": "summary_text", "text": thought.text}] if thought.text else [],
        "encrypted_content": write_proof(thought),
    }


def picture(item_id: str, image: Image, status: str = "completed") -> Json:
    """A picture that the model has made, as OpenAI tells of its tool that draws.

    https://platform.openai.com/docs/guides/tools-image-generation. The result is base64, never an address.
    """
    item: Json = {
        "id": item_id,
        "type": "image_generation_call",
        "status": status,
        "result": image.data.base64 or None,
    }
    subtype = image.data.media_type.removeprefix("image/")
    if subtype in _PICTURES:
        item["output_format"] = subtype
    if image.signature:
        item["extra_content"] = {"google": {"thought_signature": image.signature}}
    return item


def function_call(
    item_id: str,
    call: tuple[str, str, str, str],
    status: str = "completed",
) -> Json:
    """A call: its id, name, arguments and, as Gemini has it in OpenAI's dialect, signature.

    https://ai.google.dev/gemini-api/docs/openai
    """
    call_id, name, arguments, signature = call
    item: Json = {
        "id": item_id,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }
    if signature:
        item["extra_content"] = {"google": {"thought_signature": signature}}
    return item


def annotation_of(citation: Citation, length: int) -> Json:
    """A source; one whose place is not told stands for the whole text of this length."""
    return {
        "type": "url_citation",
        "url": citation.url,
        "title": citation.title,
        "start_index": citation.start or 0,
        "end_index": length if citation.end is None else citation.end,
    }


def logprobs_of(logprobs: Sequence[Logprob]) -> list[Json]:
    """Probabilities of a text's tokens."""
    return [
        {
            **_token(each.token, each.logprob),
            "top_logprobs": [_token(token, logprob) for token, logprob in each.others],
        }
        for each in logprobs
    ]


def _token(token: str, logprob: float) -> Json:
    return {"token": token, "bytes": list(token.encode()), "logprob": logprob}
