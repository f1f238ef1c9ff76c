"""A hold is an upper bound of what a call can cost."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ask import Ask
from gateway.domain.catalog import PPM, Model, Price, Tier
from gateway.domain.errors import Reason, Refusal
from gateway.domain.quota import (
    SMALLEST_OUTPUT,
    Hold,
    Limits,
    estimated_hold,
    grown,
    hold,
    largest_output,
    shrunk,
)
from gateway.domain.usage import Usage, cost_nusd

PRICE = Price(1_000_000_000, 10_000_000_000, 500_000_000, 1_000_000_000)  # $1 and $10 per million
INPUT, OUTPUT = 1_000, 10_000


def ask(
    maximum: int | None = None,
    *,
    choices: int = 1,
    size: int = 100,
    opaque: str | None = None,
    **content: Any,
) -> Ask:
    return Ask(
        model="m",
        stream=False,
        max_output_tokens=maximum,
        max_field=None if maximum is None else "max_tokens",
        choices=choices,
        wants_usage=False,
        opaque=opaque,
        background=False,
        size_bytes=size,
        **content,
    )


def model(**settings: object) -> Model:
    return Model("m", PRICE, **{"default_output_tokens": 50, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "settings", "output", "written"),
    [
        pytest.param(ask(7), {}, 7, None, id="the caller's own maximum"),
        pytest.param(ask(), {}, 50, 50, id="the model's default, written into the body"),
        pytest.param(ask(), {"max_output_tokens": 50}, 50, None, id="the default is the maximum"),
        pytest.param(ask(), {"max_output_tokens": 20}, 20, None, id="never above the maximum"),
        pytest.param(ask(900), {"max_output_tokens": 20}, 20, None, id="asked above the maximum"),
        pytest.param(ask(7, choices=3), {}, 21, None, id="each choice may be that long"),
        pytest.param(ask(choices=3), {}, 150, 50, id="each choice, by default"),
    ],
)
def test_output_is_bounded(asked, settings, output, written):
    expected = Hold(100 * INPUT + output * OUTPUT, 100 + output, 100, output, output, written)
    assert hold(asked, model(**settings)) == expected


def test_the_routes_own_default_goes_before_the_models():
    held = hold(ask(), model(), default_output_tokens=16)
    assert held == Hold(100 * INPUT + 16 * OUTPUT, 116, 100, 16, 16, 16)


def test_a_route_without_output_holds_its_input_only():
    assert hold(ask(), model(), has_output=False) == Hold(100 * INPUT, 100, 100)


def test_bytes_bound_the_input_by_the_models_tokenizer():
    assert hold(ask(1, size=101), model(bytes_per_token=4)) == Hold(
        26 * INPUT + OUTPUT, 27, 26, 1, 1
    )


def test_a_ratio_scales_the_hold():
    assert hold(ask(1), model(), PPM * 3 // 2) == Hold(
        (100 * INPUT + OUTPUT) * 3 // 2, 101, 100, 1, 1
    )


def test_input_that_is_not_in_the_body_is_bounded_by_the_model_or_refused():
    opaque = ask(1, opaque="tools[0].type")
    bounded = hold(opaque, model(max_input_tokens=1000))
    assert bounded == Hold(1000 * INPUT + OUTPUT, 1001, 1000, 1, 1)
    refusal = hold(opaque, model())
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.UNSUPPORTED_PARAMETER
    assert refusal.param == "tools[0].type"
    assert estimated_hold(opaque, model(), PPM, 1) == Hold(25 * INPUT + OUTPUT, 26, 25, 1, 1)


def test_images_are_bounded_by_the_model():
    held = hold(ask(1, images=2), model(image_max_tokens=500))
    assert held == Hold(1100 * INPUT + OUTPUT, 1101, 1100, 1, 1)


def test_what_is_rejected_of_a_prediction_is_output_beside_the_answer():
    held = hold(ask(7, predicted_bytes=10), model(bytes_per_token=2))
    assert held == Hold(50 * INPUT + 12 * OUTPUT, 62, 50, 12, 12)


def test_audio_and_images_are_held_at_their_own_price_only_where_there_may_be_any():
    spoken = replace(PRICE, audio_input_nusd=30_000_000_000, image_input_nusd=20_000_000_000)
    heard = Model("m", spoken, max_input_tokens=100)
    assert hold(ask(1), heard) == Hold(100 * INPUT + OUTPUT, 101, 100, 1, 1)
    assert hold(ask(1, has_audio=True), heard) == Hold(100 * 30 * INPUT + OUTPUT, 101, 100, 1, 1)
    seen = ask(1, opaque="files", has_audio=False)
    assert hold(seen, heard) == Hold(100 * 20 * INPUT + OUTPUT, 101, 100, 1, 1)


def test_output_is_held_at_the_dearest_kind():
    drawn = replace(PRICE, reasoning_nusd=1, image_output_nusd=120_000_000_000)
    assert hold(ask(1), Model("m", drawn)) == Hold(100 * INPUT + 12 * OUTPUT, 101, 100, 1, 1)


@pytest.mark.parametrize(("size", "dear"), [(100, 1), (101, 2)])
def test_a_tier_is_held_as_soon_as_the_input_can_reach_it(size, dear):
    tier = Tier(100, replace(PRICE, input_nusd=2 * PRICE.input_nusd, cache_write_nusd=0))
    held = hold(ask(1, size=size), Model("m", replace(PRICE, tiers=(tier,))))
    assert held == Hold(dear * size * INPUT + OUTPUT, size + 1, size, 1, 1)


def test_without_a_price_tokens_are_held_and_no_money():
    assert hold(ask(7), Model("m")) == Hold(0, 107, 100, 7, 7)


@given(
    st.integers(1, 10_000),
    st.one_of(st.none(), st.integers(1, 5_000)),
    st.integers(1, 8),
    st.one_of(st.none(), st.integers(1, 5_000)),
    st.integers(0, 3 * PPM),
    st.data(),
)
def test_whatever_is_produced_within_the_bounds_costs_no_more(
    size, maximum, choices, models_maximum, ratio, data
):
    asked = ask(maximum, choices=choices, size=size)
    bound = hold(asked, model(max_output_tokens=models_maximum), ratio)
    assert isinstance(bound, Hold)
    # What an upstream obeys: the caller's maximum or the one that was written, and its own.
    limits = [n for n in (maximum, bound.write_max_output, models_maximum) if n is not None]
    inputs = data.draw(st.integers(0, size))
    cached = data.draw(st.integers(0, inputs))
    outputs = data.draw(st.integers(0, min(limits) * choices))
    usage = Usage(inputs, outputs, cached)
    assert cost_nusd(usage, PRICE, ratio) <= bound.amount_nusd
    assert usage.total_tokens <= bound.tokens


# Steps, shrinking, estimates.


def test_a_stream_is_held_for_one_step_and_grows_to_the_whole_and_no_further():
    whole = hold(ask(1000), model())
    first = hold(ask(1000), model(), step_tokens=300)
    assert isinstance(first, Hold)
    assert (first.output_tokens, first.most_output_tokens, first.grows) == (300, 1000, True)
    assert first.amount_nusd == 100 * INPUT + 300 * OUTPUT
    further = grown(first, ask(1000), model(), PPM, 700)
    assert (further.output_tokens, further.tokens, further.grows) == (700, 800, True)
    assert grown(further, ask(1000), model(), PPM, 5_000) == whole


def test_a_short_answer_is_held_for_whole():
    assert hold(ask(200), model(), step_tokens=300) == hold(ask(200), model())


@given(
    st.integers(1, 5_000),
    st.integers(1, 8),
    st.integers(0, 3 * PPM),
    st.integers(0, 200_000_000),
    st.one_of(st.none(), st.integers(0, 50_000)),
)
def test_the_largest_maximum_fits_and_one_more_would_not(size, choices, ratio, room, tokens):
    asked = ask(choices=choices, size=size)
    held = hold(asked, model(default_output_tokens=4_000), ratio)
    assert isinstance(held, Hold)
    limits = Limits(room, tokens)
    fits = largest_output(held, asked, model(), ratio, limits)
    assert 0 <= fits <= 4_000

    def keeps_to_limits(output: int) -> bool:
        usage = Usage(held.input_tokens, output * choices)
        enough = tokens is None or usage.total_tokens <= tokens
        return enough and cost_nusd(usage, PRICE, ratio) <= room

    assert fits == 0 or keeps_to_limits(fits)
    assert fits == 4_000 or not keeps_to_limits(fits + 1)
    smaller = shrunk(held, asked, model(), ratio, limits)
    if fits < SMALLEST_OUTPUT:
        assert smaller is None
    else:
        assert smaller is not None
        assert smaller.write_max_output == fits
        assert smaller.amount_nusd <= room


def test_a_callers_own_maximum_is_never_made_smaller():
    held = hold(ask(4_000), model())
    assert isinstance(held, Hold)
    assert shrunk(held, ask(4_000), model(), PPM, Limits(held.amount_nusd // 2)) is None


def test_an_estimate_counts_four_bytes_as_a_token_and_keeps_to_a_smaller_maximum():
    assert estimated_hold(ask(), model(), PPM, 50) == Hold(25 * INPUT + 50 * OUTPUT, 75, 25, 50, 50)
    assert estimated_hold(ask(7, choices=2), model(), PPM, 50).output_tokens == 14
    assert estimated_hold(ask(opaque="files"), model(), PPM, 50).amount_nusd > 0
