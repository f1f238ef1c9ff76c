"""How much a call is held for: an upper bound of its cost, never an estimate.

Input is bounded by the body's bytes (a token of a byte-level tokenizer covers at least one byte) and its images, or by
what the model takes at most; output by the caller's own maximum or the one that we write into the body.
"""

from typing import NamedTuple

from gateway.domain.ask import Ask
from gateway.domain.catalog import PPM, Model
from gateway.domain.errors import Reason, Refusal
from gateway.domain.usage import most_nusd


class Hold(NamedTuple):
    """What a reservation takes: nano-dollars and tokens. `write_max_output` is to be written into the body."""

    amount_nusd: int
    tokens: int
    write_max_output: int | None = None


def hold(
    ask: Ask,
    model: Model,
    ratio_ppm: int = PPM,
    *,
    has_output: bool = True,
    default_output_tokens: int | None = None,
    capped: bool = True,
) -> Hold | Refusal:
    """The hold of `ask`; a refusal where a cap needs a bound that nothing gives.

    `default_output_tokens` is the route's own default for callers who name no maximum, before the model's.
    """
    input_tokens = input_bound(ask, model, capped=capped)
    if isinstance(input_tokens, Refusal):
        return input_tokens
    write = None
    output_tokens = 0
    if has_output:
        default = default_output_tokens or model.default_output_tokens
        output_tokens = ask.max_output_tokens or default
        if model.max_output_tokens is not None:
            output_tokens = min(output_tokens, model.max_output_tokens)
        if ask.max_output_tokens is None and output_tokens != model.max_output_tokens:
            write = output_tokens
    output_tokens = output_tokens * ask.choices + predicted_bound(ask, model)
    amount = (
        0
        if model.price is None
        else most_nusd(
            input_tokens,
            output_tokens,
            model.price,
            ratio_ppm,
            has_audio=ask.has_audio,
            has_images=ask.has_images,
        )
    )
    return Hold(amount, input_tokens + output_tokens, write)


def input_bound(ask: Ask, model: Model, *, capped: bool = True) -> int | Refusal:
    """The most tokens of input that `ask` can be; a refusal for a capped key where only the model could bound it.

    Without a cap nothing depends on the bound, and the body's bytes serve.
    """
    if ask.opaque is not None:
        if model.max_input_tokens is not None:
            return model.max_input_tokens
        if capped:
            return Refusal(
                Reason.UNSUPPORTED_PARAMETER,
                f"{ask.opaque!r} brings in input whose size cannot be seen in the body, and {model.name!r} has no "
                "max_input_tokens here to bound it. Send text, images or inline audio instead, use an uncapped key, "
                "or ask the operator to set max_input_tokens in [[models]].",
                param=ask.opaque,
            )
    return _tokens(ask.size_bytes, model) + ask.images * model.image_max_tokens


def predicted_bound(ask: Ask, model: Model) -> int:
    """The most tokens of a `prediction` that can be billed as output beside the answer itself.

    What the model rejects of it is billed as output, and the maximum of the answer is not documented to include it:
    https://platform.openai.com/docs/guides/predicted-outputs
    """
    return _tokens(ask.predicted_bytes, model) * ask.choices


def _tokens(size_bytes: int, model: Model) -> int:
    return -(-size_bytes // model.bytes_per_token)
