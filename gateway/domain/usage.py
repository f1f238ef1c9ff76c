"""What a call used, and what it costs.

A charge is rounded up once, per request. No float touches money.
"""

from typing import NamedTuple

from gateway.domain.catalog import PPM, Price

_TOKENS_PER_PRICE = 1_000_000


# Values of the hot path are named tuples: a frozen dataclass takes four times as long to make.
class Usage(NamedTuple):
    """Counts of tokens; all but the first two are parts of these, as OpenAI counts them.

    Cached, written, audio and image tokens of the input are part of `input_tokens`, the others of `output_tokens`; what
    was written for an hour is part of what was written.
    None: the provider does not say how many.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    rejected_prediction_tokens: int = 0
    cache_write_1h_tokens: int | None = None

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


NOTHING = Usage()
"""What produced nothing costs nothing, whatever a request costs."""
ONE_CALL = Usage(0, 0)
"""What costs a request, and no tokens; another object than `NOTHING`."""


def cost_nusd(
    usage: Usage,
    price: Price,
    ratio_ppm: int = PPM,
    *,
    has_audio: bool = False,
    has_images: bool = False,
) -> int:
    """The charge of `usage` at `price` and a group's ratio, in nano-dollars, rounded up once.

    `has_audio` and `has_images` say what the input may hold. Where the usage does not tell such tokens from the
    others, all count as the dearest that they can be.
    """
    price = price.at(usage.input_tokens)
    if price.has_kinds:
        tokens = _input(usage, price, has_audio=has_audio, has_images=has_images)
        tokens += _output(usage, price)
    else:
        tokens = _text_input(usage, price) + usage.output_tokens * price.output_nusd
    return _charge(tokens, price, ratio_ppm)


def most_nusd(
    input_tokens: int,
    output_tokens: int,
    price: Price,
    ratio_ppm: int = PPM,
    *,
    has_audio: bool = False,
    has_images: bool = False,
) -> int:
    """The most that a call can cost which uses no more than these tokens, of whatever kind and in whatever tier."""
    if not (price.tiers or price.has_kinds):
        tokens = input_tokens * price.dearest_text_nusd + output_tokens * price.output_nusd
        return _charge(tokens, price, ratio_ppm)
    most = 0
    for reached in price.up_to(input_tokens):
        tokens = input_tokens * _dearest_input(reached, has_audio=has_audio, has_images=has_images)
        tokens += output_tokens * _dearest_output(reached)
        most = max(most, _charge(tokens, reached, ratio_ppm))
    return most


def _charge(tokens: int, price: Price, ratio_ppm: int) -> int:
    exact = (tokens + price.request_nusd * _TOKENS_PER_PRICE) * ratio_ppm
    return -(-exact // (_TOKENS_PER_PRICE * PPM))


def _text_input(usage: Usage, price: Price) -> int:
    """The input where all of it costs what text does: nearly always, and quick."""
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    cost = (usage.input_tokens - cached - written) * price.input_nusd
    cost += cached * price.cached_input_nusd
    return (
        cost + sum(figure * count for figure, count in _writes(usage, price)) if written else cost
    )


def _writes(usage: Usage, price: Price) -> tuple[tuple[int, int], ...]:
    """What was written to the cache, by its price; for how long decides, and where that is not said, the dearest."""
    figure, hour = price.cache_write_nusd, price.cache_write_1h_nusd
    written, long = usage.cache_write_tokens, usage.cache_write_1h_tokens
    if hour is None:
        return ((figure, written),)
    if long is None:
        return ((max(figure, hour), written),)
    return (figure, written - long), (hour, long)


def _input(usage: Usage, price: Price, *, has_audio: bool, has_images: bool) -> int:
    base, unclear, cost = price.input_nusd, 0, 0
    rest = usage.input_tokens
    for count, figure, expected in (
        (usage.audio_input_tokens, price.audio_input_nusd, has_audio),
        (usage.image_input_tokens, price.image_input_nusd, has_images),
    ):
        if figure is None:
            continue
        cost += count * figure
        rest -= count
        unclear += count
        if expected and not count:
            base = max(base, figure)
            unclear = usage.input_tokens
    cost += rest * base
    dearest_first = sorted(
        (
            (price.cached_input_nusd, usage.cached_input_tokens),
            *_writes(usage, price),
        ),
        reverse=True,
    )
    for figure, count in dearest_first:
        # Whether text was cached is not said, and other tokens' discount is not known: text comes last
        # where that is a discount, and first where it is none.
        text = min(count, rest) if figure > base else max(0, count - unclear)
        cost += (figure - base) * text
        rest -= text
    return cost


def _output(usage: Usage, price: Price) -> int:
    base, cost = price.output_nusd, 0
    rest = usage.output_tokens
    for count, figure in (
        (usage.reasoning_tokens, price.reasoning_nusd),
        (usage.audio_output_tokens, price.audio_output_nusd),
        (usage.image_output_tokens, price.image_output_nusd),
    ):
        if figure is None:
            continue
        if count is None:
            base = max(base, figure)
        else:
            cost += count * figure
            rest -= count
    return cost + rest * base


def _dearest_input(price: Price, *, has_audio: bool, has_images: bool) -> int:
    figure = price.dearest_text_nusd
    if has_audio:
        figure = max(figure, price.audio_input_nusd or 0)
    if has_images:
        figure = max(figure, price.image_input_nusd or 0)
    return figure


def _dearest_output(price: Price) -> int:
    if not price.has_kinds:
        return price.output_nusd
    others = (price.reasoning_nusd, price.audio_output_nusd, price.image_output_nusd)
    return max(price.output_nusd, *(figure or 0 for figure in others))
