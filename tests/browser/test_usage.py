"""Dashboard, usage and log: calls that were made are seen there, as they come and afterwards."""

import csv
import json
import re
from itertools import count

import openai
import pytest
from playwright.sync_api import expect

from tests.browser.console import PASSWORD, Console

DAY_S = 86_400
_numbers = count(1)


class Person:
    """Somebody of their own, signed in, whose keys are made and used as automation would."""

    def __init__(self, console: Console, name: str, user_id: int) -> None:
        self.console = console
        self.name = name
        self.user_id = user_id
        self._made = 0

    def key(self, name: str, **fields):
        """A key of theirs."""
        body = {"name": name, "user_id": self.user_id, "quota_usd": 5, **fields}
        return self.console.call("POST", "/api/token/", body)

    def client(self, key) -> openai.OpenAI:
        """The official SDK with that key."""
        url = self.console.product.ready["gateway_url"] + "/v1"
        return openai.OpenAI(base_url=url, api_key=key["key"], max_retries=0)

    def ask(self, key, times: int = 1, **asked) -> list[str]:
        """Make chat calls; their request ids, once the ledger has them."""
        ids = [self._ask_once(key, **asked) for _ in range(times)]
        self._made += times
        path = f"/api/log/stat?user_id={self.user_id}"
        self.console.product.until(lambda: self.console.call("GET", path)["requests"] >= self._made)
        return ids

    def _ask_once(self, key, prompt: str = "Say something.", **asked) -> str:
        message = {"role": "user", "content": prompt}
        with self.client(key) as client:
            answered = client.chat.completions.with_raw_response.create(
                model="demo", messages=[message], **asked
            )
        return str(answered.headers["x-request-id"])

    def fail(self, key) -> None:
        """Make a call that the demo declines."""
        with pytest.raises(openai.BadRequestError):
            self._ask_once(key, n=2)
        self._made += 1

    def be_refused(self, key, error: type[openai.APIError]) -> None:
        """Make a call that the gateway refuses."""
        with pytest.raises(error):
            self._ask_once(key)


@pytest.fixture
def person(page, product, console):
    """A user with some money and no keys, signed in at the console instead of the administrator."""
    name = f"reader{next(_numbers)}"
    body = {"username": name, "password": PASSWORD, "grant_usd": 20}
    made = console.call("POST", "/api/user", body)
    console.button("Sign out").click()
    console.sign_in(name, PASSWORD)
    return Person(console, name, made["id"])


@pytest.fixture
def called(person):
    """The same with two keys: three calls of one, of which one failed, and one of the other, told of in full."""
    app, script = person.key("App"), person.key("Nightly script")
    person.ask(app, 2)
    person.fail(app)
    person.ask(script, user="customer-17", metadata={"team": "search"}, extra_body={"store": True})
    return person


def figure(page, name):
    """The tile of a measure."""
    tiles = page.get_by_role("group", name="What is drawn")
    return tiles.get_by_role("button", name=re.compile(f"^{name}"))


def rows(page):
    """The calls of the log that is shown."""
    return page.get_by_role("table", name="Log").locator("tbody tr")


def test_somebody_without_keys_is_shown_how_to_begin(person, page, look):
    expect(page.get_by_role("heading", name="Quick start")).to_be_visible()
    link = page.get_by_role("link", name="Make your first key")
    expect(link).to_have_attribute("href", "#/keys?new=1")
    expect(page.get_by_text("$20.00", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="No calls yet")).to_be_visible()
    look("dashboard-empty")


def test_the_dashboard_tells_todays_use_and_the_keys_that_need_something(called, page, look):
    called.key("Used up", quota_usd=None, remain_quota=0)
    called.key("Trial", expires_in_days=3)
    page.reload()
    today = page.locator("section").filter(has=page.get_by_role("heading", name="Today"))
    expect(today.locator("dd").first).to_have_text(re.compile("^4"))
    expect(today).to_contain_text("25%")
    expect(page.get_by_role("img", name=re.compile("Spend of the last 30 days"))).to_be_visible()
    keys = page.locator("section").filter(has=page.get_by_role("heading", name="Keys to look at"))
    expect(keys).to_contain_text("Used up")
    expect(keys).to_contain_text("Trial")
    expect(keys.get_by_role("link", name="Show").first).to_have_attribute("href", "#/keys?status=4")
    expect(page.locator(".u-over")).to_be_visible()
    look("dashboard")


def test_the_base_url_is_copied(console, page):
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == console.product.ready["gateway_url"] + "/v1"


def test_usage_without_calls_says_so(person, page, look):
    person.console.go("Usage")
    expect(page.get_by_role("heading", name="No calls in this period").first).to_be_visible()
    look("usage-empty")


def test_usage_is_drawn_split_and_told_as_a_table(called, page, look):
    called.console.go("Usage")
    expect(figure(page, "Requests")).to_contain_text("4")
    expect(figure(page, "Errors")).to_contain_text("25%")
    expect(page.get_by_role("img", name=re.compile("Cost over time"))).to_be_visible()
    page.get_by_role("button", name="Today").click()
    figure(page, "Requests").click()
    page.get_by_label("Split").select_option("By key")
    chart = page.get_by_role("figure", name="Requests over time")
    expect(chart.get_by_role("listitem")).to_have_text(["App", "Nightly script"])
    expect(page.locator(".u-over")).to_be_visible()
    look("usage")
    chart.get_by_role("button", name="Show as table").click()
    newest = chart.get_by_role("row").nth(1)
    expect(newest.get_by_role("cell")).to_have_text(["3", "1", "4"])
    look("usage-table")
    page.reload()
    expect(page.get_by_label("Split")).to_have_value("token_id")
    expect(figure(page, "Requests")).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("measure", ["Tokens", "Errors", "Latency"])
def test_every_measure_has_a_chart(called, page, measure):
    called.console.open("/usage?period=today")
    figure(page, measure).click()
    chart = page.get_by_role("figure", name=re.compile(f"{measure}.* over time", re.IGNORECASE))
    chart.get_by_role("button", name="Show as table").click()
    expect(chart.get_by_role("row").nth(1).get_by_role("cell").first).not_to_have_text("0")


def test_a_chart_tells_what_is_under_the_pointer(called, page):
    called.console.open("/usage?measure=requests")
    expect(page.locator(".u-over")).to_be_visible()
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] / 2)
    expect(page.locator(".told")).to_contain_text("Requests4")


def test_usage_is_narrowed_by_a_key_and_what_is_chosen_can_be_sent(called, page):
    called.console.go("Usage")
    page.get_by_role("table", name="Keys").get_by_role("link", name="Nightly script").click()
    expect(figure(page, "Requests")).to_contain_text("1")
    expect(page).to_have_url(re.compile(r"#/usage\?token_id=\d+$"))
    page.reload()
    expect(figure(page, "Requests")).to_contain_text("1")
    page.get_by_role("link", name="These calls").click()
    expect(called.console.heading("Log")).to_be_visible()
    expect(rows(page)).to_have_count(1)


def test_a_period_that_one_writes_has_its_first_and_last_day(called, page):
    called.console.open("/usage")
    page.get_by_role("button", name="From … to").click()
    expect(figure(page, "Requests")).to_contain_text("4")
    page.get_by_label("To", exact=True).fill("2026-01-31")
    page.get_by_label("From", exact=True).fill("2026-01-02")
    expect(page.get_by_role("heading", name="No calls in this period").first).to_be_visible()
    expect(page).to_have_url(
        re.compile("from=2026-01-02.*until=2026-01-31|until=2026-01-31.*from=")
    )


def test_the_log_tells_all_that_is_known_of_a_call(called, page, look):
    called.console.go("Log")
    expect(rows(page)).to_have_count(4)
    look("log")
    row = called.console.row("Nightly script")
    expect(row).to_contain_text("200")
    row.click()
    drawer = page.get_by_role("dialog", name="Call")
    for told in ("customer-17", "team: search", "chat_completions", "127.0.0.1"):
        expect(drawer).to_contain_text(told)
    look("log-call")
    drawer.get_by_role("button", name="Copy the request id").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    expect(drawer).to_contain_text(copied)
    address = page.url
    drawer.get_by_role("button", name="Close").click()
    expect(drawer).to_be_hidden()
    page.goto(address)  # as somebody who was sent it
    expect(drawer).to_contain_text(copied)


def test_the_log_is_narrowed_by_status_and_by_what_callers_told(called, page):
    called.console.go("Log")
    page.get_by_label("Status").select_option("Declined (4xx)")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("400")
    page.get_by_role("button", name="Clear filters").click()
    expect(rows(page)).to_have_count(4)
    page.get_by_role("button", name="More filters").click()
    field = page.get_by_label("Tag, as key:value")
    field.fill("team:search")
    field.press("Enter")
    expect(rows(page)).to_have_count(1)
    field.fill("team")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("tag")


def test_a_call_that_is_made_while_the_log_is_live_appears_by_itself(person, page, look):
    key = person.key("Live")
    person.console.go("Log")
    expect(page.get_by_role("heading", name="No calls found")).to_be_visible()
    look("log-empty")
    page.get_by_role("switch", name="Live").click()
    expect(page.get_by_role("switch", name="Live")).to_be_checked()
    person.ask(key)
    expect(rows(page)).to_have_count(1)
    person.ask(key, 2)
    expect(rows(page)).to_have_count(3)
    page.get_by_role("switch", name="Live").click()
    expect(page.get_by_role("switch", name="Live")).not_to_be_checked()


def test_what_one_reads_stays_where_it_is_when_calls_come_in_above(person, page):
    key = person.key("Busy")
    person.ask(key, 30)
    person.console.open("/log?live=1")
    expect(rows(page)).to_have_count(30)
    row = rows(page).nth(20)
    row.evaluate("row => { row.id = 'read'; row.scrollIntoView({ block: 'center' }); }")
    before = page.locator("#read").bounding_box()["y"]
    person.ask(key, 3)
    expect(rows(page)).to_have_count(33)
    assert page.locator("#read").bounding_box()["y"] == pytest.approx(before, abs=2)


def test_older_calls_come_with_more(person, page):
    person.ask(person.key("Many"), 55)
    person.console.open("/log")
    expect(rows(page)).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(rows(page)).to_have_count(55)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_an_export_has_the_calls_of_the_filter(called, page):
    script = called.console.call("GET", f"/api/token/?user_id={called.user_id}&keyword=script")
    called.console.open(f"/log?token_id={script['items'][0]['id']}")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Calls as CSV").click()
    with downloaded.value.path().open(newline="", encoding="utf-8") as lines:
        (found,) = csv.DictReader(lines)
    assert (found["token_name"], found["end_user"]) == ("Nightly script", "customer-17")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Calls as JSON lines").click()
    (line,) = downloaded.value.path().read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["request_id"] == found["request_id"]


def test_an_administrator_sees_the_calls_of_everybody_or_of_one(called, page):
    called.console.button("Sign out").click()
    called.console.sign_in("admin", PASSWORD)
    called.console.open("/log")
    page.get_by_role("combobox", name="Whose calls").fill(called.name)
    page.get_by_role("option", name=called.name).click()
    expect(rows(page)).to_have_count(4)
    expect(rows(page).first).to_contain_text(called.name)
    page.get_by_role("combobox", name="Key").fill("night")
    page.get_by_role("option", name="Nightly script").click()
    expect(rows(page)).to_have_count(1)
    called.console.open(f"/usage?user_id={called.user_id}&measure=requests")
    expect(figure(page, "Requests")).to_contain_text("4")
    page.get_by_label("Split").select_option("By user")
    page.get_by_role("button", name="Show as table").click()
    expect(page.get_by_role("columnheader", name=called.name)).to_be_visible()


@pytest.fixture
def refused(called):
    """The same, and calls that were refused: one of a key that is disabled, two from an address that is denied."""
    off, fenced = called.key("Switched off"), called.key("Fenced", deny_ips=["127.0.0.0/8"])
    called.console.call("PUT", "/api/token/?status_only=1", {"id": off["id"], "status": 2})
    for key, error in (
        (off, openai.AuthenticationError),
        (fenced, openai.PermissionDeniedError),
        (fenced, openai.PermissionDeniedError),
    ):
        called.be_refused(key, error)
    path = f"/api/refusal/series?interval=all&user_id={called.user_id}"
    called.console.product.until(lambda: called.console.call("GET", path)["total"]["refusals"] == 3)
    return called


def test_usage_tells_how_many_calls_were_refused_and_of_which_reason_and_key(refused, page, look):
    refused.console.open("/usage?period=today")
    figure(page, "Refused").click()
    chart = page.get_by_role("figure", name="Refused calls over time")
    expect(chart.get_by_role("listitem")).to_have_text(["Address not allowed", "Key disabled"])
    expect(page.locator(".u-over")).to_be_visible()
    look("usage-refused")
    chart.get_by_role("button", name="Show as table").click()
    cells = chart.get_by_role("row").nth(1).get_by_role("cell")
    expect(cells).to_have_text(["2", "1", "3"])
    page.get_by_role("link", name="Key disabled").click()
    keys = page.get_by_role("table", name="Keys").locator("tbody tr")
    expect(keys).to_have_count(1)
    expect(keys).to_contain_text("Switched off")
    page.reload()
    expect(page.get_by_role("button", name="All reasons")).to_be_visible()
    keys.get_by_role("link", name="Why refused?").click()
    expect(page.get_by_text("The key is disabled").first).to_be_visible()


def test_usage_without_refusals_says_so(called, page, look):
    called.console.open("/usage?measure=refused&model=demo")
    expect(page.get_by_role("heading", name="No call was refused in this period")).to_be_visible()
    expect(page.get_by_text("do not narrow them")).to_be_visible()
    look("usage-refused-empty")


def test_the_log_says_how_many_calls_it_lacks_and_leads_to_the_reasons(refused, page, look):
    refused.console.go("Log")
    line = page.get_by_text("3 calls were refused in this period")
    expect(line).to_be_visible()
    look("log-refused")
    found = refused.console.call("GET", f"/api/token/?user_id={refused.user_id}&keyword=Fenced")
    refused.console.open(f"/log?token_id={found['items'][0]['id']}")
    expect(page.get_by_text("2 calls were refused in this period")).to_be_visible()
    expect(page.get_by_role("link", name="Why would “Fenced” be refused now?")).to_be_visible()
    page.get_by_role("link", name="Why were they refused?").click()
    expect(refused.console.heading("Usage")).to_be_visible()
    expect(figure(page, "Refused")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("table", name="Reasons").locator("tbody tr")).to_have_count(1)


def test_the_pages_speak_chinese(called, page, look):
    page.get_by_role("button", name="Language").click()
    called.console.button("中文").click()
    expect(called.console.heading("总览")).to_be_visible()
    look("dashboard-zh")
    called.console.open("/usage")
    expect(page.get_by_role("heading", name="费用趋势")).to_be_visible()
    expect(page.locator(".u-over")).to_be_visible()
    look("usage-zh")
    called.console.open("/log")
    expect(page.get_by_role("table", name="日志").locator("tbody tr")).to_have_count(4)
    look("log-zh")
