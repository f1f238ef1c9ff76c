"""What one's groups offer: each model once, with what its calls cost in each group."""

import pytest

from tests.admin import running_admin

SETTINGS = {
    "groups": {
        "default": {"models": ["small", "both"]},
        "vip": {"ratio": "2.5", "users": "all"},
        "closed": {"ratio": "0.1"},
        "either": {"groups": ["vip", "default"], "users": "all"},
    },
    "models": [
        {
            "name": "small",
            "input_usd_per_mtok": "0.1",
            "output_usd_per_mtok": "0.3",
            "max_output_tokens": 4096,
            "tiers": [
                {
                    "above_input_tokens": 1000,
                    "input_usd_per_mtok": "0.2",
                    "output_usd_per_mtok": "0.6",
                }
            ],
        },
        {
            "name": "image",
            "input_usd_per_mtok": 0,
            "output_usd_per_mtok": 0,
            "request_usd": "0.04",
        },
        {"name": "both", "members": ["small", "image"]},
        {"name": "unserved"},
    ],
    "upstreams": [
        {
            "name": name,
            "dialect": dialect,
            "base_url": "http://127.0.0.1:1/v1",
            "models": models,
        }
        for name, dialect, models in (
            ("one", "openai", ["small", "image"]),
            ("two", "anthropic", ["small"]),
        )
    ],
}


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, SETTINGS) as running:
        yield running


async def offers(admin, **who):
    shown = (await admin.call("GET", "/api/user/self/models", **who)).data
    return {each["name"]: each for each in shown}


async def test_a_model_has_the_price_of_each_group_times_its_ratio(admin):
    _, token = await admin.user("ada")
    small = (await offers(admin, token=token))["small"]
    assert small["groups"] == ["default", "either", "vip"]
    assert [each["input_usd_per_mtok"] for each in small["prices"]] == [0.1, 0.25, 0.25]
    assert [each["ratio"] for each in small["prices"]] == [1, 2.5, 2.5]
    assert (small["input_usd_per_mtok"], small["output_usd_per_mtok"]) == (0.1, 0.3)
    (tier,) = small["prices"][2]["tiers"]
    assert (tier["above_input_tokens"], tier["output_usd_per_mtok"]) == (1000, 1.5)
    assert small["max_output_tokens"] == 4096
    assert small["dialects"] == ["openai", "anthropic", "gemini"]  # the last one translated


async def test_ones_own_group_goes_first(admin):
    user_id, token = await admin.user("ada")
    await admin.call("PATCH", f"/api/user/{user_id}", {"group": "vip"})
    small = (await offers(admin, token=token))["small"]
    assert small["groups"] == ["vip", "either"]
    assert small["input_usd_per_mtok"] == 0.25


async def test_what_is_priced_by_the_call_and_what_stands_for_others_says_so(admin):
    shown = await offers(admin)
    assert [*shown] == ["both", "image", "small"]
    assert [(each["group"], each["request_usd"]) for each in shown["image"]["prices"]] == [
        ("closed", 0.004),
        ("either", 0.1),
        ("vip", 0.1),
    ]
    assert (shown["image"]["request_usd"], shown["image"]["input_usd_per_mtok"]) == (0.004, 0)
    assert shown["both"]["members"] == ["small", "image"]
    assert shown["both"]["input_usd_per_mtok"] is None


async def test_groups_of_others_offer_nothing(admin):
    _, token = await admin.user("ada")
    shown = await offers(admin, token=token)
    assert all("closed" not in each["groups"] for each in shown.values())
    assert [each["name"] for each in (await offers(admin)).values()] == ["both", "image", "small"]
    assert "closed" in (await offers(admin))["small"]["groups"]
