"""What a call used, and what it costs.

A charge is rounded up once, per request. No float touches money.
"""

from typing import NamedTuple

from gateway.domain.catalog import PPM, Price

_TOKENS_PER_PRICE = 1_000_000


# Values of the hot path are named tuples: a frozen dataclass takes four times as long to make.
class Usage(NamedTuple):
    """Counts of tokens. Cached and cache-write tokens are part of `input_tokens`, reasoning of `output_tokens`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens


NOTHING = Usage()


def cost_nusd(usage: Usage, price: Price, ratio_ppm: int = PPM) -> int:
    """The charge of `usage` at `price` and a group's ratio, in nano-dollars, rounded up once."""
    plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    tokens = (
        plain * price.input_nusd
        + usage.cached_input_tokens * price.cached_input_nusd
        + usage.cache_write_tokens * price.cache_write_nusd
        + usage.output_tokens * price.output_nusd
    )
    exact = (tokens + price.request_nusd * _TOKENS_PER_PRICE) * ratio_ppm
    return -(-exact // (_TOKENS_PER_PRICE * PPM))
