"""How much a call is held for.

A strict hold is an upper bound of what the call can cost, never an estimate: input is bounded by the body's bytes (a
token of a byte-level tokenizer covers at least one byte) and its images, or by what the model takes at most; output by
the caller's own maximum or the one that we write into the body. A stream is held for in steps, each taken before what
it is for is passed on. An estimated hold, for tokens without a cap or whose owner is trusted, bounds nothing.
"""

from typing import NamedTuple

from gateway.domain.ask import Ask
from gateway.domain.cases import Case, refusal
from gateway.domain.catalog import PPM, Model
from gateway.domain.errors import Refusal
from gateway.domain.rules import Param
from gateway.domain.usage import most_nusd

SMALLEST_OUTPUT = 256
"""Tokens: a hold shrinks to no less. Below it, an answer is rarely worth having."""

ESTIMATED_BYTES_PER_TOKEN = 4  # English text has about as many


class Hold(NamedTuple):
    """What a reservation takes, in nano-dollars and tokens, and what that covers.

    `output_tokens` is all choices together; `most_output_tokens` is as far as it can grow. `write_max_output` is a
    choice's maximum, to be written into the body.
    """

    amount_nusd: int
    tokens: int
    input_tokens: int = 0
    output_tokens: int = 0
    most_output_tokens: int = 0
    write_max_output: int | None = None

    @property
    def grows(self) -> bool:
        """Whether it covers only the beginning of what the call may produce."""
        return self.output_tokens < self.most_output_tokens


class Limits(NamedTuple):
    """What a hold may be at most."""

    amount_nusd: int | None = None
    tokens: int | None = None


def hold(
    ask: Ask,
    model: Model,
    ratio_ppm: int = PPM,
    *,
    has_output: bool = True,
    default_output_tokens: int | None = None,
    step_tokens: int | None = None,
) -> Hold | Refusal:
    """The strict hold of `ask`; a refusal where nothing bounds it and the model names no bound.

    `default_output_tokens` is the route's own default for callers who name no maximum, before the model's.
    With `step_tokens`, no more output than that is held for at first.
    """
    input_tokens = input_bound(ask, model)
    if isinstance(input_tokens, Refusal):
        return input_tokens
    predicted = predicted_bound(ask, model)
    if not has_output:
        return _held(ask, model, ratio_ppm, Hold(0, 0, input_tokens, predicted, predicted))
    longest = ask.max_output_tokens or default_output_tokens or model.default_output_tokens
    if model.max_output_tokens is not None:
        longest = min(longest, model.max_output_tokens)
    named = ask.max_output_tokens is not None
    write = None if named or longest == model.max_output_tokens else longest
    most = longest * ask.choices + predicted
    first = most if step_tokens is None else min(most, step_tokens * ask.choices)
    return _held(ask, model, ratio_ppm, Hold(0, 0, input_tokens, first, most, write))


def estimated_hold(ask: Ask, model: Model, ratio_ppm: int, output_tokens: int) -> Hold:
    """What an ordinary call of this size may cost, with `output_tokens` of answer or the caller's smaller maximum."""
    input_tokens = -(-ask.size_bytes // ESTIMATED_BYTES_PER_TOKEN)
    input_tokens += ask.images * model.image_max_tokens
    output = min(output_tokens, ask.max_output_tokens or output_tokens) * ask.choices
    return _held(ask, model, ratio_ppm, Hold(0, 0, input_tokens, output, output))


def grown(held: Hold, ask: Ask, model: Model, ratio_ppm: int, output_tokens: int) -> Hold:
    """The hold with `output_tokens` covered, as far as it can grow."""
    output = min(output_tokens, held.most_output_tokens)
    return _held(ask, model, ratio_ppm, held._replace(output_tokens=output))


def shrunk(held: Hold, ask: Ask, model: Model, ratio_ppm: int, limits: Limits) -> Hold | None:
    """The hold with the largest maximum that keeps to `limits`; None where that is too small to be of use.

    Only for callers who named no maximum: nobody's own word is changed.
    """
    if ask.max_output_tokens is not None:
        return None
    fits = largest_output(held, ask, model, ratio_ppm, limits)
    if fits < SMALLEST_OUTPUT:
        return None
    most = fits * ask.choices + predicted_bound(ask, model)
    first = min(held.output_tokens, most)
    smaller = held._replace(output_tokens=first, most_output_tokens=most, write_max_output=fits)
    return _held(ask, model, ratio_ppm, smaller)


def largest_output(held: Hold, ask: Ask, model: Model, ratio_ppm: int, limits: Limits) -> int:
    """The largest maximum of a choice, up to the present one, with which the call keeps to `limits`; 0 where none."""
    predicted = predicted_bound(ask, model)
    low, high = 0, (held.most_output_tokens - predicted) // ask.choices
    if limits.tokens is not None:
        high = min(high, max(0, limits.tokens - held.input_tokens - predicted) // ask.choices)
    if limits.amount_nusd is None:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        output = middle * ask.choices + predicted
        if _amount(ask, model, ratio_ppm, held.input_tokens, output) <= limits.amount_nusd:
            low = middle
        else:
            high = middle - 1
    return low


def input_bound(ask: Ask, model: Model) -> int | Refusal:
    """The most tokens of input that `ask` can be; a refusal where only the model could bound it, and does not."""
    if ask.opaque is not None:
        if model.max_input_tokens is not None:
            return model.max_input_tokens
        told: dict[str, Param] = {"member": ask.opaque, "model": model.name}
        return refusal(Case.INPUT_UNBOUNDED, told, param=ask.opaque)
    return _tokens(ask.size_bytes, model) + ask.images * model.image_max_tokens


def predicted_bound(ask: Ask, model: Model) -> int:
    """The most tokens of a `prediction` that can be billed as output beside the answer itself.

    What the model rejects of it is billed as output, and the maximum of the answer is not documented to include it:
    https://platform.openai.com/docs/guides/predicted-outputs
    """
    if not ask.predicted_bytes:
        return 0
    return _tokens(ask.predicted_bytes, model) * ask.choices


def _tokens(size_bytes: int, model: Model) -> int:
    return -(-size_bytes // model.bytes_per_token)


def _held(ask: Ask, model: Model, ratio_ppm: int, covers: Hold) -> Hold:
    """The hold of what `covers` says that it covers."""
    _, _, inputs, outputs, most, write = covers
    amount = _amount(ask, model, ratio_ppm, inputs, outputs)
    return Hold(amount, inputs + outputs, inputs, outputs, most, write)


def _amount(ask: Ask, model: Model, ratio_ppm: int, input_tokens: int, output_tokens: int) -> int:
    if model.price is None:
        return 0
    return most_nusd(
        input_tokens,
        output_tokens,
        model.price,
        ratio_ppm,
        has_audio=ask.has_audio,
        has_images=ask.has_images,
    )
