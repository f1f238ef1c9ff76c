"""What operators set up: upstreams, models with their prices, groups; and what of it is the configuration file's."""

import pytest
from playwright.sync_api import expect

from tests.browser.beside import provider_with
from tests.e2e.product import running

LISTED = ["gpt-5.4-mini", "house-large", "house-small", "text-embedding-3-small"]
CONFIG = """
[groups.default]
description = "Everyday models"

[groups.vip]
description = "All models, and patience"
models = ["gpt-*", "of-the-file"]
ratio = 1.2
max_concurrency = 50
[[groups.vip.limits]]
metric = "requests"
window = "1m"
limit = 600
[groups.vip.token_defaults]
expires_in_days = 90
[[groups.vip.token_defaults.limits]]
metric = "usd"
window = "month"
mode = "calendar"
limit = 100

[[models]]
name = "of-the-file"
input_usd_per_mtok = 0.5
output_usd_per_mtok = 1.5

[[upstreams]]
name = "house"
base_url = "http://127.0.0.1:9/v1"
models = ["of-the-file", "unpriced"]

[[upstreams]]
name = "openai"
base_url = "https://api.openai.com/v1"
models = ["gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano"]
priority = 1
"""


@pytest.fixture(scope="module")
def product():
    with running(CONFIG) as started:
        yield started


@pytest.fixture(scope="module")
def provider():
    with provider_with(LISTED) as upstream:
        yield upstream


@pytest.fixture
def saved(console):
    """What is said once something is saved."""
    return console.page.get_by_role("status").filter(has_text="Saved")


def drawer(console, name):
    return console.page.get_by_role("dialog", name=name)


def test_an_operator_adds_an_upstream_tests_it_serves_its_models_and_prices_one(
    console, provider, look
):
    page = console.page
    console.go("Upstreams")
    look("upstreams")
    console.button("Add an upstream").click()
    made = drawer(console, "Add an upstream")
    made.get_by_label("Name", exact=True).fill("beside")
    made.get_by_label("Base URL").fill(provider.base_url)
    made.get_by_label("Keys").fill("sk-of-the-provider-0123-wxyz")
    look("upstreams-new")
    made.get_by_role("button", name="Create").click()
    # A private address has to be allowed.
    expect(made.get_by_role("alert").first).to_contain_text("127.0.0.1")
    look("upstreams-refused")
    made.get_by_text("Addresses and headers").click()
    made.get_by_label("Allowed private addresses").fill("127.0.0.0/8")
    made.get_by_role("button", name="Remove *").click()
    made.get_by_label("Models", exact=True).fill("house-small")
    made.get_by_role("button", name="Create").click()

    tested = drawer(console, "beside")
    tested.get_by_role("button", name="Call it").click()
    expect(tested.get_by_text("It answers.")).to_be_visible()
    expect(tested.get_by_text("…wxyz")).to_be_visible()
    look("upstreams-tested")
    tested.get_by_role("link", name="See which models it lists").click()
    offered = drawer(console, "beside")
    expect(offered.get_by_text("It lists 4 models")).to_be_visible()
    offered.get_by_label("house-large").check()
    look("upstreams-offers")
    offered.get_by_role("button", name="Serve 1 more").click()
    expect(offered.get_by_label("house-large")).to_be_hidden()
    offered.get_by_role("listitem").filter(has_text="house-large").get_by_role("link").click()

    priced = drawer(console, "Set up a model")
    expect(priced.get_by_label("Model", exact=True)).to_have_value("house-large")
    priced.get_by_label("Input", exact=True).fill("0.25")
    priced.get_by_label("Output", exact=True).fill("1")
    look("models-new")
    priced.get_by_role("button", name="Create").click()
    expect(console.row("house-large")).to_contain_text("$0.25")
    expect(console.row("house-large")).to_contain_text("Set here")
    page.keyboard.press("Escape")


def test_pictures(console, look):
    for name, file in (("Groups", "groups"), ("Models and prices", "catalog")):
        console.go(name)
        look(file)
    console.open("/admin/groups?edit=vip")
    look("groups-file")
    console.open("/admin/models?edit=of-the-file")
    look("catalog-file")
    console.open("/admin/models?edit=gpt-5.4-mini")
    look("catalog-book")
    console.open("/admin/groups?new=yes")
    console.page.get_by_text("Each account", exact=True).click()
    console.page.get_by_role("button", name="Add a limit").click()
    look("groups-new")
