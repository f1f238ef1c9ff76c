"""Alerts: what was told to whom and whether it got there, what stands now, and tests of webhooks."""

import re

import openai
import pytest
from playwright.sync_api import expect

from gateway.domain.webhook import secret_of
from tests.browser.beside import beside
from tests.browser.console import PASSWORD, Console
from tests.e2e.product import running
from tests.webhooks import running_receiver

CONFIG = """
[webhooks]
allow_cidrs = ["127.0.0.0/8"]

[warnings]
interval_s = 0.2
mail = ["ops@example.com"]
webhook_url = "{url}"
webhook_secret_env = "HOOK"
"""


@pytest.fixture(scope="module")
def receiver():
    """The operator's webhook, which is people's, too."""
    with beside(running_receiver) as server:
        yield server


@pytest.fixture(scope="module")
def product(receiver):
    """An installation that warns; it has no mail server."""
    with running(CONFIG.format(url=receiver.served.url), HOOK=secret_of(bytes(24))) as started:
        yield started


def answer_next(receiver, status):
    """What the webhook answers next."""
    receiver.do(lambda: receiver.served.statuses.append(status))


def told(console, count, query="user_id=all"):
    """Wait until so many warnings are there, with what became of their messages."""

    def done():
        found = console.call("GET", f"/api/warning?limit=100&{query}")["items"]
        states = [sent["state"] for each in found for sent in each["deliveries"]]
        return len(found) == count and "waiting" not in states

    console.product.until(done)


def key(console, name, **fields):
    return console.call("POST", "/api/token/", {"name": name, **fields})


def drawer(console):
    return console.page.get_by_role("dialog", name="Warning", exact=True)


def standing(console):
    return console.page.get_by_role("table", name="What stands now").locator("tbody tr")


def test_alerts_are_empty_before_anything_stands(console, look):
    console.go("Alerts")
    expect(console.page.get_by_role("heading", name="All is well")).to_be_visible()
    expect(console.page.get_by_role("heading", name="No warnings")).to_be_visible()
    expect(console.page.get_by_text("No mail server is set up here")).to_be_visible()
    look("alerts-empty")


def test_a_test_shows_what_the_operators_webhook_answers(console, receiver, look):
    console.go("Alerts")
    button = console.page.get_by_role("button", name="Send a test")
    button.click()
    expect(console.page.get_by_text("Taken: 204")).to_be_visible()
    answer_next(receiver, 503)
    button.click()
    expect(console.page.get_by_text("Not taken: 503")).to_be_visible()
    look("alerts-test")


def test_warnings_say_of_what_they_are_and_whether_they_were_taken(
    console, receiver, product, look
):
    answer_next(receiver, 410)  # the first is given up
    soon = key(console, "Trial of a customer", expires_in_days=3)
    told(console, 1)
    used = key(console, "Nightly script", quota_usd=1)
    url = product.ready["gateway_url"] + "/v1"
    with openai.OpenAI(base_url=url, api_key=used["key"], max_retries=0) as client:
        client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "Say something."}]
        )
    path = f"/api/token/{used['id']}"
    product.until(lambda: console.call("GET", path)["used_quota"] > 0)
    console.call("PATCH", path, {"remain_quota": 200})
    told(console, 2)

    console.go("Alerts")
    expect(standing(console)).to_have_count(2)
    expect(standing(console).filter(has_text="Nightly script")).to_contain_text(re.compile("9.%"))
    expect(standing(console).filter(has_text="Trial of a customer")).to_contain_text("Expires")
    look("alerts")

    console.page.get_by_label("Messages").select_option("Given up")
    list_of = console.page.get_by_role("table", name="What was told").locator("tbody tr")
    expect(list_of).to_have_count(1)
    list_of.get_by_role("link", name="The key expires within 7 days").click()
    expect(drawer(console)).to_contain_text("it answered 410")
    expect(drawer(console)).to_contain_text("the operator")
    look("alerts-one")
    address = console.page.url
    console.page.goto("about:blank")
    console.page.goto(address)  # as somebody who was sent it
    expect(drawer(console)).to_contain_text("it answered 410")
    console.button("Close").click()
    console.page.get_by_label("Kind", exact=True).select_option("Limit")
    expect(console.page.get_by_role("heading", name="No warnings")).to_be_visible()
    console.button("Clear filters").click()
    expect(list_of).to_have_count(2)
    list_of.get_by_role("link", name="Trial of a customer").click()
    expect(console.page).to_have_url(re.compile(rf"#/keys\?.*edit={soon['id']}"))


def test_people_try_their_webhooks_and_see_what_they_were_told(console, product, receiver, look):
    body = {"username": "ada", "password": PASSWORD}
    ada = console.call("POST", "/api/user", body)["id"]
    console.button("Sign out").click()
    theirs = Console(console.page, product)
    theirs.sign_in("ada", PASSWORD)
    theirs.go("Warnings")
    theirs.button("Create webhook").click()
    form = theirs.page.get_by_role("dialog", name="Create webhook")
    form.get_by_label("Address").fill(receiver.served.url)
    form.get_by_role("button", name="Create", exact=True).click()
    theirs.page.get_by_role("button", name="Done").click()
    theirs.page.get_by_role("button", name="Send a test").click()
    expect(theirs.page.get_by_text("Taken: 204")).to_be_visible()
    key(theirs, "My app", user_id=ada, expires_in_days=1)
    told(theirs, 1, f"user_id={ada}")
    theirs.page.reload()
    own = theirs.page.get_by_role("table", name="What you were told").locator("tbody tr")
    expect(own).to_have_count(1)
    expect(own).to_contain_text("My app")
    expect(own).to_contain_text("1 sent")
    look("warnings-told")


def test_who_may_not_see_what_others_are_told_has_no_such_page(console, product):
    console.call("POST", "/api/user", {"username": "eve", "password": PASSWORD})
    console.button("Sign out").click()
    console.sign_in("eve", PASSWORD)
    links = console.page.get_by_role("navigation", name="Pages").get_by_role("link")
    expect(links.filter(has_text="Warnings")).to_be_visible()
    expect(links.filter(has_text="Alerts")).to_have_count(0)


def test_the_page_speaks_chinese(console, look):
    console.page.get_by_role("button", name="Language").click()
    console.button("中文").click()
    console.open("/admin/alerts")
    expect(console.heading("告警")).to_be_visible()
    expect(console.page.get_by_label("加载中")).to_have_count(0)
    look("alerts-zh")
