"""API keys in the console: made, used, found, changed, explained, rotated, deleted."""

import re

import openai
import pytest
from playwright.sync_api import expect

from gateway.domain.network import parse_block
from gateway.domain.rejection import BrokenRule
from tests.browser.beside import provider_with
from tests.browser.conftest import PICTURES
from tests.e2e.product import running

HELLO = [{"role": "user", "content": "Hello"}]
# A day on which nothing of this has ended yet.
LAST_DAY = "2035-06-30"


def settings(base_url):
    return f"""
[keys]
recoverable = true

[[models]]
name = "gpt-5.4"
input_usd_per_mtok = 1
output_usd_per_mtok = 10
default_output_tokens = 100
max_output_tokens = 1000

[[models]]
name = "claude-sonnet-4-6"
input_usd_per_mtok = 3
output_usd_per_mtok = 15

[[upstreams]]
name = "scripted"
base_url = "{base_url}"
models = ["gpt-5.4", "gpt-5.4-mini", "claude-sonnet-4-6"]

[groups.default]
description = "For everybody"

[groups.team]
description = "Shared by the search team"
users = "all"
ratio = 1.5
models = ["gpt-5.4", "gpt-5.4-mini"]

[groups.team.token_defaults]
max_concurrency = 4

[[groups.team.token_defaults.limits]]
metric = "requests"
window = "1m"
limit = 60
"""


@pytest.fixture(scope="module")
def product():
    """The product before a provider, with two groups, keeping the keys that it makes."""
    with provider_with() as provider, running(settings(provider.served.base_url)) as started:
        yield started


@pytest.fixture
def keys(console):
    """The page of keys, without any of what other tests made."""
    present = console.call("GET", "/api/token?size=100")["items"]
    if present:
        console.call("POST", "/api/token/batch", {"ids": [each["id"] for each in present]})
    console.go("API keys")
    return console


def made(console, name, **fields):
    """A key that automation made, shown by the page."""
    token = console.call("POST", "/api/token", {"name": name, "unlimited_quota": True, **fields})
    console.page.reload()
    expect(console.row(name)).to_be_visible()
    return token


def client(product, key):
    return openai.OpenAI(api_key=key, base_url=product.ready["gateway_url"] + "/v1", max_retries=0)


def chat(product, key, **more):
    with client(product, key) as sdk:
        return sdk.chat.completions.create(model="gpt-5.4", messages=HELLO, **more)


def use_up(product, key):
    """Call until that is refused; with which code."""
    for _ in range(50):
        try:
            chat(product, key, max_tokens=7)
        except openai.APIStatusError as refused:
            return refused.code
    raise AssertionError("no call was refused")


def drawer(console):
    return console.page.get_by_role("dialog")


def fold(console, title):
    drawer(console).get_by_role("heading", level=3).filter(has_text=title).first.click()


def choose(console, group, option):
    """One of the few kinds of a field."""
    drawer(console).get_by_role("group", name=group, exact=True).get_by_role(
        "button", name=option, exact=True
    ).first.click()


def shown_key(console):
    key = drawer(console).get_by_label("API key", exact=True)
    expect(key).to_have_text(re.compile("^sk-.{40,}$"))
    return key.inner_text()


def act(console, name, action):
    """Something of the menu of a row."""
    console.button(f"Actions for {name}").click()
    console.page.get_by_role("listitem").get_by_text(action, exact=True).click()


def test_the_first_key_is_made_in_the_page_and_used_by_the_openai_sdk(keys, product, look):
    expect(keys.page.get_by_role("heading", name="Make your first key")).to_be_visible()
    look("keys-empty")
    keys.button("New key").click()
    expect(keys.field("Name")).to_be_focused()
    look("keys-new")
    keys.field("Name").fill("prod-backend")
    choose(keys, "Quota", "Limited")
    keys.field("Amount").fill("5")
    expect(drawer(keys)).to_contain_text("2,500,000 quota units")
    choose(keys, "Expires", "On a day")
    keys.field("Last day").fill(LAST_DAY)
    expect(drawer(keys)).to_contain_text("30 Jun 2035, 23:59:59 (UTC)")
    drawer(keys).get_by_label("Group", exact=True).select_option("team")
    expect(drawer(keys)).to_contain_text("Shared by the search team")
    fold(keys, "Models")
    choose(keys, "May call", "Its own")
    keys.page.get_by_role("combobox", name="May call").fill("gpt-5.4")
    keys.page.get_by_role("option", name="gpt-5.4", exact=True).click()
    fold(keys, "Limits")
    expect(drawer(keys)).to_contain_text("60 requests / minute")
    keys.button("5 hours").click()
    keys.field("At most").fill("1000")
    look("keys-new-filled")
    keys.button("Create").click()
    key = shown_key(keys)
    look("keys-secret")
    assert chat(product, key).choices[0].message.content
    keys.page.keyboard.press("Escape")
    expect(drawer(keys)).to_contain_text("Stored? You will not see it again.")
    keys.button("I have stored it").click()
    row = keys.row("prod-backend")
    for text in ("Enabled", "team", "left", "gpt-5.4", "1,000 requests / 5 hours"):
        expect(row).to_contain_text(text)
    assert key not in keys.page.content()


def test_a_quota_is_given_in_dollars_or_in_units(keys):
    keys.button("New key").click()
    keys.field("Name").fill("in-units")
    choose(keys, "Quota", "Limited")
    keys.field("Amount").fill("0.5")
    keys.field("Unit").select_option("quota units")
    expect(keys.field("Amount")).to_have_value("250000")
    keys.field("Amount").fill("1000000")
    expect(drawer(keys)).to_contain_text("$2.00")
    keys.button("Create").click()
    shown_key(keys)
    keys.button("I have stored it").click()
    expect(keys.row("in-units")).to_contain_text("$2.00 left")


def test_code_is_ready_with_the_key_in_it(keys):
    keys.button("New key").click()
    keys.field("Name").fill("local-dev")
    keys.button("Create").click()
    key = shown_key(keys)
    for name in ("curl", "openai-python", "openai-node", "anthropic-python", ".env"):
        keys.button(name).click()
        expect(drawer(keys).locator("pre")).to_contain_text(key)
    keys.button("Copy the key").click()
    assert keys.page.evaluate("navigator.clipboard.readText()") == key
    keys.button("I have stored it").click()
    expect(keys.page.get_by_text("Your key is ready, and was not used yet.")).to_be_visible()


def test_several_keys_are_made_at_once(keys):
    keys.button("New key").click()
    keys.field("Name").fill("worker")
    keys.field("How many").fill("3")
    keys.button("Create").click()
    expect(drawer(keys).get_by_role("listitem")).to_have_count(3)
    keys.button("I have stored it").click()
    expect(keys.row("worker-3")).to_be_visible()


def test_what_the_server_declines_is_told_at_its_field(keys):
    keys.button("New key").click()
    keys.field("Name").fill(" ")
    choose(keys, "Quota", "Limited")
    keys.button("Create").click()
    expect(keys.field("Amount")).to_have_attribute("aria-invalid", "true")
    keys.field("Amount").fill("0.5")
    fold(keys, "Limits")
    keys.button("24 hours").click()
    keys.field("At most").fill("-1")
    keys.button("Create").click()
    expect(drawer(keys).get_by_role("group", name="Limit 1").get_by_role("alert")).to_be_visible()
    keys.field("At most").fill("10")
    keys.button("Create").click()
    expect(keys.field("Name")).to_have_attribute("aria-invalid", "true")


def test_keys_are_searched_filtered_sorted_and_the_filters_cleared(keys, look):
    first = made(keys, "search-indexer", group="team")
    made(keys, "batch-reports", quota_usd=3, unlimited_quota=False)
    made(keys, "old-experiment", max_concurrency=2)
    keys.call("PATCH", f"/api/token/{first['id']}", {"status": 2})
    keys.page.get_by_role("searchbox", name="Search by name or key").fill("search")
    expect(keys.row("batch-reports")).to_be_hidden()
    expect(keys.row("search-indexer")).to_be_visible()
    expect(keys.page).to_have_url(re.compile("q=search"))
    keys.button("Clear").click()
    expect(keys.row("batch-reports")).to_be_visible()
    keys.field("Status").select_option("Disabled")
    expect(keys.row("batch-reports")).to_be_hidden()
    keys.button("Clear").click()
    keys.field("Group").select_option("team")
    expect(keys.row("old-experiment")).to_be_hidden()
    keys.button("Clear").click()
    end = first["key"][-4:]
    keys.page.get_by_role("searchbox").fill(end)
    keys.button("Keys").click()
    expect(keys.row("search-indexer")).to_be_visible()
    keys.button("Clear").click()
    keys.button("Name").click()
    expect(keys.page.get_by_role("row").nth(1)).to_contain_text("search-indexer")
    look("keys-list")


def test_a_whole_key_that_is_pasted_finds_its_row_and_stays_out_of_the_address(keys):
    token = made(keys, "pasted")
    made(keys, "another")
    keys.page.get_by_role("searchbox").fill(token["key"])
    expect(keys.row("another")).to_be_hidden()
    expect(keys.row("pasted")).to_be_visible()
    assert token["key"] not in keys.page.url


def test_an_edit_is_kept_and_one_of_an_older_version_says_so(keys, look):
    token = made(keys, "to-edit", quota_usd=2, unlimited_quota=False)
    keys.page.get_by_role("link", name="to-edit").click()
    keys.field("Name").fill("edited")
    choose(keys, "Quota", "Add to it")
    keys.field("Amount").fill("3")
    expect(drawer(keys)).to_contain_text("$5.00 is left")
    look("keys-edit")
    keys.button("Save").click()
    expect(keys.row("edited")).to_contain_text("$5.00")
    keys.page.get_by_role("link", name="edited").click()
    keys.field("Name").fill("mine")
    keys.call("PATCH", f"/api/token/{token['id']}", {"name": "theirs"})
    keys.button("Save").click()
    expect(drawer(keys)).to_contain_text("Somebody changed this key meanwhile.")
    expect(keys.field("Name")).to_have_value("mine")
    keys.button("Read it again").click()
    expect(keys.field("Name")).to_have_value("theirs")


def test_a_denied_address_is_told_before_it_is_saved_and_explained_after(keys, product, look):
    keys.button("New key").click()
    keys.field("Name").fill("not-from-here")
    fold(keys, "Addresses")
    expect(drawer(keys)).to_contain_text("Your address is 127.0.0.1. It would be allowed.")
    choose(keys, "Denied addresses", "Its own")
    keys.page.get_by_role("textbox", name="Denied addresses").fill("127.0.0.1/8")
    expect(drawer(keys)).to_contain_text("the block is 127.0.0.0/8")
    keys.page.get_by_role("textbox", name="Denied addresses").fill("127.0.0.1/32")
    expect(drawer(keys)).to_contain_text("Your address is 127.0.0.1. It would be denied.")
    look("keys-addresses")
    keys.button("Create").click()
    key = shown_key(keys)
    keys.button("I have stored it").click()
    with pytest.raises(openai.PermissionDeniedError):
        chat(product, key)
    act(keys, "not-from-here", "Why refused?")
    expect(keys.heading("Why refused?")).to_be_visible()
    expect(keys.page.get_by_text("The address may not use this key.")).to_be_visible()
    expect(keys.field("From the address")).to_have_value("127.0.0.1")
    look("keys-why")
    keys.field("From the address").fill("203.0.113.7")
    keys.button("Ask").click()
    expect(keys.page.get_by_text("This call would pass.")).to_be_visible()
    look("keys-why-passes")


BLOCKS = (
    *(
        "203.0.113.7",
        "203.0.113.0/24",
        "203.0.113.7/24",
        "0.0.0.0/0",
        "::/0",
        "2001:db8::/32",
        "::1",
    ),
    *(
        "2001:db8::1/32",
        "2001:db8:0:1:0:0:0:5/64",
        "1:2:3:4:5:6:7:8",
        "::ffff:10.0.0.1",
        "1:0:0:2::5/64",
    ),
    *(
        "::ffff:10.0.0.0/104",
        "1.2.3",
        "01.2.3.4",
        "1.2.3.4/33",
        "fe80::1::2",
        ":",
        "a.example",
        "256.1.1.1",
    ),
    *(
        "2001:db8::10.0.0.1",
        "1:2:3:4:5:6:7::",
        "::8/125",
        "10.0.0.0/8/8",
        "10.0.0.0/",
        "2001:db8::/129",
    ),
)


def server_says(text):
    try:
        parse_block(1, text)
    except BrokenRule as broken:
        return {"wrong": str(broken.rule), "block": broken.params.get("block")}
    return {"wrong": None, "block": None}


def test_the_page_says_of_an_address_what_the_server_will(keys):
    said = keys.page.evaluate(
        """async (texts) => {
          const base = document.querySelector("script[src]").src;
          const { readBlock } = await import(new URL("core/network.js", base));
          return texts.map(readBlock).map(({ wrong = null, block = null }) => ({ wrong, block }));
        }""",
        BLOCKS,
    )
    assert dict(zip(BLOCKS, said, strict=True)) == {text: server_says(text) for text in BLOCKS}


def test_the_page_speaks_chinese(keys, look):
    made(keys, "prod-backend", quota_usd=20, unlimited_quota=False, group="team")
    keys.page.get_by_role("button", name="Language").click()
    keys.button("中文").click()
    keys.page.get_by_role("link", name="prod-backend").click()
    expect(drawer(keys)).to_contain_text("可用模型")
    look("keys-chinese-drawer")
    keys.button("取消").click()
    expect(keys.row("prod-backend")).to_contain_text("已启用")
    keys.button("prod-backend 的操作").click()
    expect(keys.page.get_by_text("为何被拒")).to_be_visible()
    keys.page.screenshot(path=PICTURES / "keys-chinese-menu.png")


def test_why_a_call_is_refused_is_told_in_chinese(keys, look):
    made(keys, "prod", quota_usd=0.0001, unlimited_quota=False, deny_ips="127.0.0.0/8")
    keys.page.get_by_role("button", name="Language").click()
    keys.button("中文").click()
    keys.button("prod 的操作").click()
    keys.page.get_by_role("listitem").get_by_text("为何被拒").click()
    expect(keys.page.get_by_text("该地址不允许使用此密钥。")).to_be_visible()
    checks = keys.page.get_by_role("listitem")
    denied = checks.filter(has_text="地址允许使用此密钥")
    expect(denied).to_contain_text("不能从 127.0.0.1 使用此密钥")
    expect(checks.filter(has_text="额度、限制和并发均有余量")).to_contain_text(
        "密钥的额度为 $0.0001"
    )
    expect(checks.filter(has_text="密钥有效")).to_contain_text("此处已选定密钥")
    look("keys-why-chinese")


def test_what_a_body_would_lose_on_its_way_to_another_dialect_is_told(keys, look):
    made(keys, "translated")
    act(keys, "translated", "Why refused?")
    keys.page.get_by_text("More about the call").click()
    keys.field("Path").select_option("/v1/messages")
    said = (
        '{"model": "gpt-5.4", "max_tokens": 9, %s"messages": [{"role": "user", "content": "Hi"}]}'
    )
    keys.field("Its body").fill(said % '"top_k": 3, ')
    keys.button("Ask").click()
    expect(keys.page.get_by_text("'top_k' cannot be sent to").first).to_be_visible()
    look("keys-why-untranslatable")
    keys.field("Its body").fill(said % "")
    keys.button("Ask").click()
    expect(keys.page.get_by_text("This call would pass.")).to_be_visible()
    expect(keys.page.get_by_text("translated for the dialect openai")).to_be_visible()
    assert "Hi" not in keys.page.url


def test_a_rotated_key_works_beside_its_old_one_until_that_is_ended(keys, product, look):
    token = made(keys, "rotated")
    act(keys, "rotated", "Rotate")
    keys.button("1 hour").click()
    look("keys-rotate")
    drawer(keys).get_by_role("button", name="Rotate", exact=True).click()
    new = shown_key(keys)
    keys.button("I have stored it").click()
    row = keys.row("rotated")
    expect(row).to_contain_text(re.compile(r"The old secret works for (59:\d\d|01:00:00)"))
    for key in (token["key"], new):
        assert chat(product, key).choices
    keys.page.get_by_role("link", name="rotated").click()
    fold(keys, "Secrets")
    expect(drawer(keys).get_by_role("listitem")).to_have_count(2)
    look("keys-secrets")
    drawer(keys).get_by_role("button", name="End now").click()
    expect(drawer(keys)).not_to_contain_text("The old secret works for")
    keys.button("Cancel").click()
    expect(row).not_to_contain_text("The old secret works for")
    with pytest.raises(openai.AuthenticationError):
        chat(product, token["key"])
    assert chat(product, new).choices


def test_a_key_that_is_kept_is_shown_again_after_a_question(keys):
    token = made(keys, "kept")
    act(keys, "kept", "Show the key")
    drawer(keys).get_by_role("button", name="Show the key").click()
    assert shown_key(keys) == token["key"]


def test_an_exhausted_key_says_so(keys, product, look):
    token = made(keys, "tiny", quota_usd=0.0001, unlimited_quota=False)
    assert use_up(product, token["key"]) == "insufficient_quota"
    keys.page.reload()
    act(keys, "tiny", "Why refused?")
    keys.page.get_by_text("More about the call").click()
    keys.field("Most output tokens").fill("100")
    keys.button("Ask").click()
    expect(keys.page.get_by_text("What is left is not enough.")).to_be_visible()
    look("keys-why-exhausted")
    left = keys.call("GET", f"/api/token/{token['id']}")
    keys.call("PATCH", f"/api/token/{token['id']}", {"add_quota": -left["remain_quota"]})
    keys.go("API keys")
    expect(keys.row("tiny")).to_contain_text("Exhausted")


def test_chosen_keys_are_disabled_together_and_that_is_taken_back(keys, look):
    for name in ("one", "two", "three"):
        made(keys, name)
    keys.page.get_by_label("Choose one").check()
    keys.page.get_by_label("Choose two").check()
    look("keys-chosen")
    keys.button("Disable").click()
    expect(keys.row("one")).to_contain_text("Disabled")
    expect(keys.row("three")).to_contain_text("Enabled")
    keys.button("Undo").click()
    expect(keys.row("one")).to_contain_text("Enabled")
    expect(keys.row("two")).to_contain_text("Enabled")


def test_a_key_in_use_is_deleted_only_when_its_name_was_typed(keys, product, look):
    token = made(keys, "busy")
    made(keys, "idle")
    chat(product, token["key"])
    keys.page.wait_for_function(
        "async (id) => (await (await fetch(`/api/token/${id}`)).json()).data.accessed_time > 0",
        arg=token["id"],
        polling=500,
    )
    keys.page.reload()
    act(keys, "busy", "Delete")
    expect(drawer(keys)).to_contain_text("an application may still be using it")
    delete = drawer(keys).get_by_role("button", name="Delete", exact=True)
    expect(delete).to_be_disabled()
    look("keys-delete")
    drawer(keys).get_by_role("textbox").fill("busy")
    delete.click()
    expect(keys.row("busy")).to_be_hidden()
    act(keys, "idle", "Delete")
    drawer(keys).get_by_role("button", name="Delete", exact=True).click()
    expect(keys.page.get_by_role("heading", name="Make your first key")).to_be_visible()


def test_administrators_see_everybodys_keys_and_whose_they_are(keys):
    made(keys, "mine")
    whose = keys.field("Whose keys")
    whose.click()
    keys.page.get_by_role("option", name="Everybody").click()
    expect(keys.page.get_by_role("columnheader", name="Owner")).to_be_visible()
    expect(keys.row("mine")).to_contain_text("admin")
    whose.fill("adm")
    keys.page.get_by_role("option", name="admin").click()
    expect(keys.page).to_have_url(re.compile(r"user_id=\d"))
    expect(whose).to_have_value("admin")


def test_the_account_that_pays_is_told_where_a_key_is_changed(keys, look):
    account = keys.call("POST", "/api/account", {"name": "Search team"})
    keys.call("POST", f"/api/account/{account['id']}/member", {"username": "admin"})
    made(keys, "of-the-team", account_id=account["id"])
    keys.page.get_by_role("link", name="of-the-team").click()
    fold(keys, "More")
    expect(drawer(keys)).to_contain_text("A key stays with the account that it was made for.")
    look("keys-account")
    drawer(keys).get_by_role("link", name="Search team").click()
    expect(keys.heading("Search team")).to_be_visible()


def test_a_user_whom_no_list_shows_is_found_by_name_without_a_mouse(keys, look):
    for n in range(21):  # one more than a list offers at once
        body = {"username": f"wanted{n:02}", "display_name": f"Number {n}", "grant_usd": 1}
        keys.call("POST", "/api/user", body)
    keys.page.reload()
    whose = keys.field("Whose keys")
    options = keys.page.get_by_role("listbox").locator("[role=option]")
    whose.focus()
    expect(options.filter(has_text="wanted20")).to_be_visible()
    expect(options.filter(has_text="wanted00")).to_have_count(0)
    keys.page.keyboard.type("Number 0")
    expect(options).to_have_count(1)
    expect(keys.page.get_by_role("status").filter(has_text="1 can be chosen")).to_be_attached()
    look("keys-whose")
    keys.page.keyboard.press("ArrowDown")
    expect(options.first).to_have_attribute("aria-selected", "true")
    keys.page.keyboard.press("Enter")
    expect(whose).to_have_value("wanted00")
    expect(whose).to_be_focused()
    expect(options).to_have_count(0)
    keys.page.reload()
    expect(whose).to_have_value("wanted00")
    whose.fill("nobody of that name")
    expect(options).to_have_text(["Nothing found"])
    keys.page.keyboard.press("Escape")
    expect(whose).to_have_value("wanted00")
