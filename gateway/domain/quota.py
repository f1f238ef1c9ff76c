"""How much a call is held for: an upper bound of its cost, never an estimate.

Input is bounded by the body's bytes (a token of a byte-level tokenizer covers at least one byte), output by the
caller's own maximum or the one that we write into the body.
"""

from typing import NamedTuple

from gateway.domain.ask import Ask
from gateway.domain.catalog import PPM, Model
from gateway.domain.errors import Reason, Refusal
from gateway.domain.usage import Usage, cost_nusd


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
) -> Hold | Refusal:
    """The hold of `ask`; a refusal where nothing bounds it and the model names no bound.

    `default_output_tokens` is the route's own default for callers who name no maximum, before the model's.
    """
    if ask.opaque:
        if model.max_input_tokens is None:
            return Refusal(
                Reason.UNSUPPORTED_PARAMETER,
                f"The body refers to input that is stored upstream, and {model.name!r} has no max_input_tokens here "
                "to bound it. Send the input itself, or use an uncapped key.",
            )
        input_tokens = model.max_input_tokens
    else:
        input_tokens = -(-ask.size_bytes // model.bytes_per_token)
    write = None
    output_tokens = 0
    if has_output:
        default = default_output_tokens or model.default_output_tokens
        output_tokens = ask.max_output_tokens or default
        if model.max_output_tokens is not None:
            output_tokens = min(output_tokens, model.max_output_tokens)
        if ask.max_output_tokens is None and output_tokens != model.max_output_tokens:
            write = output_tokens
    usage = Usage(input_tokens, output_tokens * ask.choices)
    amount = 0 if model.price is None else cost_nusd(usage, model.price, ratio_ppm)
    return Hold(amount, usage.total_tokens, write)
