"""What a call costs: exact, and rounded up once."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog import PPM, Price
from gateway.domain.usage import NOTHING, Usage, cost_nusd

PRICE = Price(1_000, 10_000, 500, 1_250)  # nano-dollars per million tokens: nothing divides
prices = st.builds(
    Price,
    input_nusd=st.integers(0, 10**12),
    output_nusd=st.integers(0, 10**12),
    cached_input_nusd=st.integers(0, 10**12),
    cache_write_nusd=st.integers(0, 10**12),
    request_nusd=st.integers(0, 10**9),
)
ratios = st.integers(0, 10 * PPM)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, written, plain, output = (draw(st.integers(0, 10**7)) for _ in range(4))
    return Usage(cached + written + plain, output, cached, written)


def exact(usage: Usage, price: Price, ratio_ppm: int) -> Fraction:
    plain = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens
    nusd = Fraction(
        plain * price.input_nusd
        + usage.cached_input_tokens * price.cached_input_nusd
        + usage.cache_write_tokens * price.cache_write_nusd
        + usage.output_tokens * price.output_nusd,
        1_000_000,
    )
    return (nusd + price.request_nusd) * Fraction(ratio_ppm, PPM)


@given(usages(), prices, ratios)
def test_a_charge_is_the_exact_cost_rounded_up_once(usage, price, ratio):
    cost = cost_nusd(usage, price, ratio)
    assert 0 <= cost - exact(usage, price, ratio) < 1


def test_parts_are_not_rounded_by_themselves():
    # Each part alone would be rounded up to a whole nano-dollar: 4 instead of 2.
    usage = Usage(3, 0, cached_input_tokens=1, cache_write_tokens=1)
    price = Price(500_000, 0, 500_000, 500_000)
    assert cost_nusd(usage, price) == 2
    assert cost_nusd(Usage(1, 1), PRICE) == 1


def test_cached_tokens_have_their_own_price_inside_the_input():
    price = Price(4_000_000, 0, 1_000_000, 5_000_000)
    assert cost_nusd(Usage(100, 0), price) == 400
    assert cost_nusd(Usage(100, 0, cached_input_tokens=60), price) == 160 + 60
    assert cost_nusd(Usage(100, 0, 60, 20), price) == 80 + 60 + 100


def test_reasoning_is_part_of_the_output_and_costs_nothing_more():
    price = Price(0, 2_000_000, 0, 0)
    assert cost_nusd(Usage(0, 10, reasoning_tokens=9), price) == 20


def test_the_ratio_of_a_group_and_the_price_of_a_request():
    price = Price(1_000_000, 0, 0, 0, request_nusd=7)
    assert cost_nusd(Usage(10), price, PPM // 2) == 9  # 8.5
    assert cost_nusd(NOTHING, price) == 7
    assert cost_nusd(Usage(10), price, 0) == 0
