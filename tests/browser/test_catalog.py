"""What operators set up: upstreams, models with their prices, groups; and what of it is the configuration file's."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import expect

from tests.browser.beside import provider_with
from tests.e2e.product import running
from tests.upstream import Answer, Gate

KEY = "sk-of-the-provider-0123-wxyz"
LISTED = ["gpt-5.4-mini", "house-large", "house-small", "text-embedding-3-small"]
CONFIG = """
[groups.default]
description = "Everyday models"

[groups.vip]
description = "All models, and patience"
models = ["gpt-5.4", "of-the-file"]
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
base_url = "PROVIDER"
models = ["of-the-file", "unpriced"]

[[upstreams]]
name = "openai"
base_url = "https://api.openai.com/v1"
models = ["gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano"]
priority = 1
"""


@pytest.fixture(scope="module")
def provider():
    with provider_with(LISTED) as started:
        yield started


@pytest.fixture(scope="module")
def product(provider):
    with running(CONFIG.replace("PROVIDER", provider.served.base_url)) as started:
        yield started


def drawer(console, name):
    return console.page.get_by_role("dialog", name=name)


def open_menu(console, name, item):
    """Choose what is to be done with a row."""
    console.row(name).get_by_role("button", name=f"What to do with {name}").click()
    console.page.get_by_text(item, exact=True).locator("visible=true").click()


def ask(gateway_url, key, model):
    """One word of a model, as an application asks for it. The status."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9}
    request = urllib.request.Request(
        f"{gateway_url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status


def test_an_upstream_is_added_tested_its_models_served_priced_and_called_a_moment_later(
    console, provider, look
):
    page = console.page
    console.go("Upstreams")
    expect(console.row("house")).to_be_visible()
    look("upstreams")
    console.button("Add an upstream").click()
    made = drawer(console, "Add an upstream")
    made.get_by_label("Name", exact=True).fill("beside")
    made.get_by_label("Base URL").fill(provider.served.base_url)
    made.get_by_label("Keys").fill(KEY)
    made.get_by_role("button", name="Create").click()
    # A private address has to be allowed.
    expect(made.get_by_role("alert").first).to_contain_text("127.0.0.1")
    look("upstreams-refused")
    made.get_by_text("Addresses and headers").click()
    made.get_by_label("Allowed private addresses").fill("127.0.0.0/8")
    made.get_by_role("button", name="Remove *").click()
    made.get_by_label("Models", exact=True).fill("house-small")
    look("upstreams-new")
    made.get_by_role("button", name="Create").click()

    beside = drawer(console, "beside")
    beside.get_by_role("button", name="Call it").click()
    expect(beside.get_by_text("It answers.")).to_be_visible()
    expect(beside.get_by_text("…wxyz")).to_be_visible()
    expect(page.get_by_text(KEY)).to_have_count(0)
    look("upstreams-tested")
    beside.get_by_role("link", name="See which models it lists").click()
    expect(beside.get_by_text("It lists 4 models")).to_be_visible()
    beside.get_by_label("house-large").check()
    look("upstreams-offers")
    beside.get_by_role("button", name="Serve 1 more").click()
    expect(beside.get_by_label("house-large")).to_be_hidden()
    beside.get_by_role("listitem").filter(has_text="house-large").get_by_role("link").click()

    priced = drawer(console, "Set up a model")
    expect(priced.get_by_label("Model", exact=True)).to_have_value("house-large")
    priced.get_by_label("Input", exact=True).fill("0.25")
    priced.get_by_role("button", name="Create").click()
    expect(priced.get_by_text("Give both input and output")).to_be_visible()
    priced.get_by_label("Output", exact=True).fill("1")
    priced.get_by_role("button", name="Create").click()
    expect(priced).to_be_hidden()
    expect(console.row("house-large")).to_contain_text("Set here")
    expect(console.row("house-large")).to_contain_text("$0.25")

    console.go("Groups")
    console.button("Add a group").click()
    group = drawer(console, "Add a group")
    group.get_by_label("Name", exact=True).fill("house group")
    group.get_by_label("Who may choose it").select_option("All users")
    group.get_by_role("button", name="Remove *").first.click()
    group.get_by_label("Models", exact=True).fill("house-l")
    group.get_by_role("option", name="house-large").click()
    group.get_by_text("Each account", exact=True).click()
    group.get_by_role("button", name="Add a limit").first.click()
    group.get_by_label("At most").fill("1000")
    look("groups-new")
    group.get_by_role("button", name="Create").click()
    expect(group).to_be_hidden()
    expect(console.row("house group")).to_contain_text("1,000 requests / minute")

    made_key = console.call(
        "POST", "/api/token", {"name": "mine", "group": "house group", "quota_usd": 1}
    )
    assert ask(console.product.ready["gateway_url"], made_key["key"], "house-large") == 200
    assert provider.served.requests[-1].header("authorization") == f"Bearer {KEY}"

    open_menu(console, "house group", "Delete")
    question = drawer(console, "Delete house group?")
    question.get_by_role("button", name="Delete").click()
    expect(question.get_by_role("alert")).to_contain_text("in use")
    look("groups-in-use")


def test_what_only_upstreams_of_openais_dialect_have_is_not_asked_of_others(console):
    console.go("Upstreams")
    console.button("Add an upstream").click()
    made = drawer(console, "Add an upstream")
    made.get_by_label("Name", exact=True).fill("claude")
    made.get_by_label("Base URL").fill("https://claude.example/v1")
    made.get_by_text("Addresses and headers").click()
    made.get_by_text("Connections and retries").click()
    made.get_by_label("Version of Azure's API").fill("2024-10-21")
    made.get_by_label("Translated calls to OpenAI's dialect are").select_option("responses")
    made.get_by_label("It speaks").select_option("anthropic")
    expect(made.get_by_label("Version of Azure's API")).to_have_count(0)
    expect(made.get_by_label("Translated calls to OpenAI's dialect are")).to_have_count(0)
    made.get_by_role("button", name="Create").click()
    expect(drawer(console, "claude")).to_be_visible()
    kept = console.call("GET", "/api/upstream/claude")
    assert (kept["form"], kept["azure_api_version"]) == ("chats", "")


def test_what_the_configuration_file_has_is_shown_and_says_where_to_change_it(console, look):
    console.open("/admin/groups?edit=vip")
    shown = drawer(console, "vip")
    expect(shown.get_by_text("Change it there, under [groups.vip]")).to_be_visible()
    expect(shown.get_by_label("Ratio")).to_be_disabled()
    expect(shown.get_by_label("Ratio")).to_have_value("1.2")
    expect(shown.get_by_role("button", name="Save")).to_have_count(0)
    look("groups-file")
    console.open("/admin/upstreams?edit=house")
    expect(drawer(console, "house").get_by_text("under [[upstreams]]")).to_be_visible()
    look("upstreams-file")
    console.open("/admin/models?edit=of-the-file")
    expect(drawer(console, "of-the-file").get_by_text("under [[models]]")).to_be_visible()
    look("models-file")


def test_a_price_begins_with_what_a_provider_publishes(console, look):
    console.go("Models and prices")
    expect(console.row("unpriced")).to_contain_text("No price")
    look("prices")
    console.button("Set up a model").click()
    made = drawer(console, "Set up a model")
    made.get_by_label("Model", exact=True).fill("gpt-5.4-mini")
    made.get_by_text("Published prices").click()
    made.get_by_role("button", name="Use the price of OpenAI").click()
    expect(made.get_by_label("Input", exact=True)).to_have_value("0.75")
    expect(made.get_by_label("Output", exact=True)).to_have_value("4.5")
    look("models-new")
    made.get_by_role("button", name="Create").click()
    expect(console.row("gpt-5.4-mini")).to_contain_text("Set here")
    console.open("/admin/models?edit=gpt-5.4")
    expect(drawer(console, "gpt-5.4").get_by_text("From the price book")).to_be_visible()
    look("models-book")


def test_what_somebody_else_changed_meanwhile_is_loaded_and_what_was_typed_stays(console, look):
    console.call("POST", "/api/group", {"name": "shared", "ratio": 2})
    console.open("/admin/groups?edit=shared")
    mine = drawer(console, "shared")
    mine.get_by_label("Description").fill("Mine")
    console.call("PATCH", "/api/group/shared", {"ratio": 3})
    mine.get_by_role("button", name="Save").click()
    expect(mine.get_by_text("Somebody changed this meanwhile")).to_be_visible()
    look("groups-changed-meanwhile")
    mine.get_by_role("button", name="Load theirs, keep what I typed").click()
    expect(mine.get_by_label("Ratio")).to_have_value("3")
    expect(mine.get_by_label("Description")).to_have_value("Mine")
    mine.get_by_role("button", name="Save").click()
    expect(mine).to_be_hidden()
    expect(console.row("shared")).to_contain_text("Mine")
    expect(console.row("shared").get_by_role("cell").filter(has_text="3")).to_be_visible()
    open_menu(console, "shared", "Delete")
    drawer(console, "Delete shared?").get_by_role("button", name="Delete").click()
    expect(console.row("shared")).to_have_count(0)


def test_keys_of_an_upstream_are_replaced_and_never_shown(console, provider):
    console.call(
        "POST",
        "/api/upstream",
        {"name": "replaced", "base_url": "https://1.1.1.1/v1", "api_key": KEY},
    )
    console.open("/admin/upstreams?edit=replaced")
    shown = drawer(console, "replaced")
    expect(shown.get_by_text("…wxyz")).to_be_visible()
    shown.get_by_role("button", name="Replace the keys").click()
    shown.get_by_label("Keys").fill(
        "sk-another-of-the-provider-abcd\nsk-third-of-the-provider-efgh"
    )
    shown.get_by_role("button", name="Save").click()
    expect(shown).to_be_hidden()
    expect(console.row("replaced")).to_contain_text("…abcd")
    expect(console.row("replaced")).to_contain_text("…efgh")
    open_menu(console, "replaced", "Delete")
    drawer(console, "Delete replaced?").get_by_role("button", name="Delete").click()
    expect(console.row("replaced")).to_have_count(0)


def test_everybody_sees_what_their_keys_can_call_and_what_it_costs(console, look):
    console.go("Models")
    expect(console.row("of-the-file")).to_be_visible()
    look("models")
    console.page.get_by_label("Search models").fill("gpt-5.4-n")
    expect(console.row("of-the-file")).to_have_count(0)
    console.page.get_by_role("link", name="gpt-5.4-nano", exact=True).click()
    expect(drawer(console, "Model").get_by_text("gpt-5.4-nano")).to_be_visible()
    look("models-one")


def test_the_state_tells_how_the_stores_are_and_which_calls_run(console, provider, look):
    gate = Gate()
    provider.served.answer("of-the-file", Answer((b"{}",)).first(gate))
    key = console.call("POST", "/api/token", {"name": "slow one", "quota_usd": 1})["key"]
    console.go("State")
    postgres = console.page.get_by_role("region", name="Postgres")
    expect(postgres.get_by_text("Answering")).to_be_visible()
    expect(console.page.get_by_role("region", name="Valkey").get_by_text("Memory")).to_be_visible()
    expect(console.page.get_by_text("No call runs")).to_be_visible()
    with ThreadPoolExecutor() as threads:
        ended = threads.submit(ask, console.product.ready["gateway_url"], key, "of-the-file")
        expect(console.row("slow one")).to_contain_text("of-the-file")
        look("state")
        console.button("Pause").click()
        provider.do(gate.release)
        ended.result(30)
    expect(console.row("slow one")).to_be_visible()
    console.button("Go on").click()
    expect(console.row("slow one")).to_have_count(0)
