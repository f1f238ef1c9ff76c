"""One's own account: profile, password, sessions, access tokens, looks."""

import secrets
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import DESKTOP
from tests.browser.console import PASSWORD, Console

NEW_PASSWORD = "another long password"


@pytest.fixture
def console(page, product):
    """The console, signed in as somebody who was just made."""
    opened = Console(page, product)
    opened.name = name = f"ada-{secrets.token_hex(4)}"
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    opened.id = opened.call("POST", "/api/user", body)["id"]
    sign_in(opened, name)
    return opened


def sign_in(console, name):
    console.open()
    console.field("Username").fill(name)
    console.field("Password").fill(PASSWORD)
    console.button("Sign in").click()
    expect(console.heading("Dashboard")).to_be_visible()


def region(console, name):
    return console.page.get_by_role("region", name=name, exact=True)


def test_the_display_name_is_changed_and_shown(console, look):
    console.go("Account")
    look("account")
    console.field("Display name").fill("Ada <b>Lovelace</b>")
    region(console, "Profile").get_by_role("button", name="Save").click()
    expect(console.page.get_by_text("Signed in as Ada <b>Lovelace</b>")).to_be_visible()
    console.field("Display name").fill("Ada\u0007")
    region(console, "Profile").get_by_role("button", name="Save").click()
    expect(console.field("Display name")).to_have_attribute("aria-invalid", "true")


def test_another_address_needs_the_password_and_is_not_verified(console):
    console.go("Account")
    email = region(console, "E-mail address")
    expect(email.get_by_text("Not verified")).to_be_visible()
    email.get_by_text("Change the address").click()
    console.field("New address").fill(f"new-{console.name}@example.com")
    email.get_by_label("Present password").fill("not the password")
    email.get_by_role("button", name="Save").click()
    expect(email.get_by_role("alert")).to_contain_text("is not your present password")
    email.get_by_label("Present password").fill(PASSWORD)
    email.get_by_role("button", name="Save").click()
    expect(email.get_by_text(f"new-{console.name}@example.com")).to_be_visible()


def test_a_new_password_ends_the_other_sessions(console, browser):
    with elsewhere(browser, console) as other:
        console.go("Account")
        sessions = console.page.get_by_role("table", name="Sessions")
        expect(sessions.get_by_role("row")).to_have_count(3)
        expect(sessions.get_by_text("This one")).to_have_count(1)
        password = region(console, "Password")
        password.get_by_label("Present password").fill(PASSWORD)
        password.get_by_label("New password").fill("short words")
        password.get_by_role("button").click()
        expect(password.get_by_label("New password")).to_be_focused()  # the browser says why
        password.get_by_label("New password").fill(NEW_PASSWORD)
        password.get_by_role("button").click()
        expect(console.page.get_by_text("The password is changed")).to_be_visible()
        expect(sessions.get_by_role("row")).to_have_count(2)
        other.page.reload()
        expect(other.button("Sign in")).to_be_visible()


def test_one_session_is_ended_and_all_others_after_a_question(console, browser):
    with elsewhere(browser, console), elsewhere(browser, console) as last:
        console.go("Account")
        rows = console.page.get_by_role("table", name="Sessions").get_by_role("row")
        expect(rows).to_have_count(4)
        rows.nth(2).get_by_role("button").click()
        expect(rows).to_have_count(3)
        console.button("End all others").click()
        question = console.page.get_by_role("dialog")
        question.get_by_role("button", name="End all others").click()
        expect(rows).to_have_count(2)
        last.page.reload()
        expect(last.button("Sign in")).to_be_visible()


def test_an_access_token_is_shown_once_and_does_what_it_may(console, look):
    console.go("Account")
    console.button("New access token").click()
    drawer = console.page.get_by_role("dialog", name="New access token")
    drawer.get_by_role("button", name="Create").click()
    expect(drawer.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    drawer.get_by_label("Name").fill("backup")
    drawer.get_by_label("All that you may do").uncheck()
    expect(drawer.get_by_label("See your keys and their use")).to_be_checked()
    drawer.get_by_label("Allowed addresses").fill("127.0.0.1\nnowhere")
    drawer.get_by_role("button", name="Create").click()
    expect(drawer.get_by_label("Allowed addresses")).to_have_attribute("aria-invalid", "true")
    look("account-new-token")
    drawer.get_by_label("Allowed addresses").fill("127.0.0.1")
    drawer.get_by_role("button", name="Create").click()
    made = console.page.get_by_role("dialog", name="Access token made")
    made.get_by_role("button", name="Copy").click()
    secret = console.page.evaluate("navigator.clipboard.readText()")
    assert secret.startswith("tht_")
    look("account-token-made")
    made.get_by_role("button", name="I have kept it").click()
    expect(console.page.get_by_text(secret)).to_have_count(0)
    expect(console.row("backup")).to_contain_text("token.read")
    look("account-tokens")

    headers = {"Authorization": f"Bearer {secret}", "New-Api-User": str(console.id)}
    url = f"{console.url}/api/token/"
    assert console.page.request.get(url, headers=headers).ok
    refused = console.page.request.post(url, headers=headers, data={"name": "no"})
    assert refused.status == 403

    console.button("Delete backup").click()
    console.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(console.page.get_by_text("You have no access token")).to_be_visible()
    assert console.page.request.get(url, headers=headers).status == 401


def test_the_example_names_ones_own_user(console):
    console.go("Account")
    example = region(console, "Calling the API")
    expect(example.locator("pre")).to_contain_text(f"New-Api-User: {console.id}")
    expect(example.locator("pre")).to_contain_text(console.url)


def test_looks_and_language_are_chosen_here_too(console):
    console.go("Account")
    console.button("Dark").click()
    expect(console.page.locator("html")).to_have_attribute("data-theme", "dark")
    console.button("中文").click()
    expect(console.heading("账户")).to_be_visible()


@contextmanager
def elsewhere(browser, console):
    """The same user in another browser."""
    context = browser.new_context(viewport=DESKTOP, locale="en-GB")
    other = Console(context.new_page(), console.product)
    sign_in(other, console.name)
    yield other
    context.close()
