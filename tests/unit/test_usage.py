"""What a call costs: exact, and rounded up once."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog import PPM, Price, Tier, dearest
from gateway.domain.usage import NOTHING, Usage, cost_nusd, most_nusd

MTOK = 1_000_000
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


def test_what_is_written_for_an_hour_has_its_own_price_and_is_dearest_where_nobody_says() -> None:
    price = Price(3 * MTOK, 0, MTOK, 4 * MTOK, cache_write_1h_nusd=6 * MTOK)
    told = Usage(100, 0, cache_write_tokens=50, cache_write_1h_tokens=20)
    assert cost_nusd(told, price) == 50 * 3 + 30 * 4 + 20 * 6
    assert cost_nusd(told._replace(cache_write_1h_tokens=None), price) == 50 * 3 + 50 * 6
    assert cost_nusd(told, replace(price, cache_write_1h_nusd=None)) == 50 * 3 + 50 * 4
    assert most_nusd(100, 0, price) == 600
    kinds = replace(price, audio_input_nusd=MTOK)
    assert cost_nusd(told, kinds) == cost_nusd(told, price)


def test_reasoning_is_part_of_the_output_and_costs_what_output_does_unless_priced() -> None:
    usage = Usage(0, 10, reasoning_tokens=9)
    assert cost_nusd(usage, Price(0, 2_000_000, 0, 0)) == 20
    assert cost_nusd(usage, Price(0, 2_000_000, 0, 0, reasoning_nusd=3_000_000)) == 2 + 27
    assert cost_nusd(usage, Price(0, 2_000_000, 0, 0, reasoning_nusd=0)) == 2


SPOKEN = Price(
    1_000_000,
    2_000_000,
    500_000,
    1_250_000,
    audio_input_nusd=10_000_000,
    audio_output_nusd=20_000_000,
    image_input_nusd=5_000_000,
    image_output_nusd=50_000_000,
)


def test_audio_and_images_have_their_own_prices_inside_input_and_output() -> None:
    usage = Usage(
        100,
        50,
        audio_input_tokens=10,
        image_input_tokens=20,
        audio_output_tokens=5,
        image_output_tokens=1,
    )
    assert cost_nusd(usage, SPOKEN) == (70 + 100 + 100) + (88 + 100 + 50)


def test_audio_and_images_that_the_usage_does_not_count_make_all_input_as_dear() -> None:
    usage = Usage(100, 0)
    assert cost_nusd(usage, SPOKEN) == 100
    assert cost_nusd(usage, SPOKEN, has_images=True) == 500
    assert cost_nusd(usage, SPOKEN, has_audio=True, has_images=True) == 1000
    counted = Usage(100, 0, audio_input_tokens=1)
    assert cost_nusd(counted, SPOKEN, has_audio=True) == 99 + 10


def test_output_of_which_nothing_is_said_is_as_dear_as_it_can_be() -> None:
    assert cost_nusd(Usage(0, 10), SPOKEN) == 500
    said = Usage(0, 10, audio_output_tokens=0, image_output_tokens=0)
    assert cost_nusd(said, SPOKEN) == 20


def test_which_tokens_were_cached_is_decided_for_the_dearest() -> None:
    usage = Usage(100, 0, cached_input_tokens=30, audio_input_tokens=20)
    assert cost_nusd(usage, SPOKEN) == 80 + 200 - 5  # 20 of them may be audio


TIERED = Price(
    1_000_000,
    10_000_000,
    500_000,
    1_000_000,
    request_nusd=3,
    tiers=(
        Tier(100, Price(2_000_000, 15_000_000, 1_000_000, 2_000_000, request_nusd=3)),
        Tier(200, Price(4_000_000, 20_000_000, 4_000_000, 4_000_000, request_nusd=3)),
    ),
)


def test_above_a_threshold_every_token_has_the_tiers_price() -> None:
    assert cost_nusd(Usage(100, 1), TIERED) == 100 + 10 + 3
    assert cost_nusd(Usage(101, 1), TIERED) == 202 + 15 + 3
    assert cost_nusd(Usage(200, 1, cached_input_tokens=10), TIERED) == 380 + 10 + 15 + 3
    assert cost_nusd(Usage(201, 1), TIERED) == 804 + 20 + 3


def test_a_hold_is_at_the_dearest_tier_that_can_be_reached() -> None:
    assert most_nusd(100, 1, TIERED) == 100 + 10 + 3
    assert most_nusd(101, 1, TIERED) == 202 + 15 + 3
    cheaper_above = Price(2_000_000, 0, 0, 0, tiers=(Tier(10, Price(1_000_000, 0, 0, 0)),))
    assert most_nusd(12, 0, cheaper_above) == 24


def test_the_ratio_of_a_group_and_the_price_of_a_request() -> None:
    price = Price(1_000_000, 0, 0, 0, request_nusd=7)
    assert cost_nusd(Usage(10), price, PPM // 2) == 9  # 8.5
    assert cost_nusd(NOTHING, price) == 7
    assert cost_nusd(Usage(10), price, 0) == 0


figures = st.integers(0, 10**10)
kinds = {
    kind: st.none() | figures
    for kind in (
        "reasoning_nusd",
        "audio_input_nusd",
        "audio_output_nusd",
        "image_input_nusd",
        "image_output_nusd",
    )
}
flat = st.builds(Price, figures, figures, figures, figures, figures, **kinds)
tiered = st.builds(
    lambda base, tiers: replace(
        base, tiers=tuple(Tier(start, tiers[start]) for start in sorted(tiers))
    ),
    flat,
    st.dictionaries(st.integers(0, 300), flat, max_size=3),
)


@st.composite
def believable(draw: st.DrawFn) -> Usage:
    inputs, outputs = draw(st.integers(0, 400)), draw(st.integers(0, 400))
    cached = draw(st.integers(0, inputs))
    written = draw(st.integers(0, inputs - cached))
    audio = draw(st.integers(0, inputs))
    images = draw(st.integers(0, inputs - audio))
    reasoning = draw(st.integers(0, outputs))
    spoken = draw(st.none() | st.integers(0, outputs - reasoning))
    drawn = draw(st.none() | st.integers(0, outputs - reasoning - (spoken or 0)))
    return Usage(inputs, outputs, cached, written, reasoning, audio, images, spoken, drawn)


@given(believable(), tiered, ratios, st.integers(0, 50), st.integers(0, 50))
def test_no_usage_within_the_bounds_costs_more_than_the_hold(
    usage: Usage, price: Price, ratio: int, more_input: int, more_output: int
) -> None:
    audio, images = usage.audio_input_tokens > 0, usage.image_input_tokens > 0
    most = most_nusd(
        usage.input_tokens + more_input,
        usage.output_tokens + more_output,
        price,
        ratio,
        has_audio=audio,
        has_images=images,
    )
    assert 0 <= cost_nusd(usage, price, ratio, has_audio=audio, has_images=images) <= most


@given(believable(), st.lists(tiered, min_size=1, max_size=3))
def test_no_usage_costs_more_at_one_of_several_prices_than_at_the_dearest(
    usage: Usage, prices: list[Price]
) -> None:
    bound = cost_nusd(usage, dearest(prices))
    assert all(cost_nusd(usage, price) <= bound for price in prices)
