"""Before the console: signing in in every way there is, becoming a user, and what links in e-mails lead to."""

import re
import secrets

import pytest
from playwright.sync_api import expect

from tests.browser.beside import beside
from tests.browser.conftest import DESKTOP, PICTURES, launch
from tests.browser.console import PASSWORD, Console
from tests.e2e.product import running
from tests.mail import running_mail
from tests.oidc_server import provider_running


class Mail:
    """What arrives at a mail server."""

    def __init__(self, server):
        self._server = server
        self.port = server.served.port

    def link(self, purpose, name):
        """The link of the next letter about this to somebody; those before it are dropped."""
        while True:
            letter = self._server.ask(self._server.served.letter())
            found = re.search(rf"http\S+/link#{purpose}=[\w-]+", letter.get_content())
            if found and letter["To"] == f"{name}@example.com":
                return found[0]


@pytest.fixture(scope="module")
def mail():
    with beside(running_mail) as server:
        yield Mail(server)


@pytest.fixture(scope="module")
def issuer():
    with provider_running() as url:
        yield url


@pytest.fixture(scope="module")
def product(mail, issuer):
    """An installation where people register, verify their address, and sign in with a provider."""
    config = f"""
[admin]
registration = "open"
registration_grant_usd = 5
require_verified_email = true

[mail]
host = "127.0.0.1"
port = {mail.port}
tls = "none"
sender = "Tollhouse <no-reply@example.com>"

[oidc]
issuer = "{issuer}"
client_id = "tollhouse"
client_secret_env = "OIDC_CLIENT_SECRET"
name = "Example ID"
"""
    with running(config, OIDC_CLIENT_SECRET="any") as started:
        yield started


@pytest.fixture
def gate(page, product):
    opened = Console(page, product)
    opened.open()
    return opened


@pytest.fixture
def name():
    return f"ada-{secrets.token_hex(4)}"


def send_sign_in(console, name, password):
    console.field("Username").fill(name)
    console.field("Password").fill(password)
    console.button("Sign in").click()


def register(console, name, email=None):
    console.field("Username").fill(name)
    console.field("E-mail address").fill(email or f"{name}@example.com")
    console.field("Password").fill(PASSWORD)
    console.button("Register").click()


def make_user(console, name, **fields):
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **fields}
    return console.call("POST", "/api/user", body)["id"]


def test_somebody_registers_verifies_and_is_told_until_then(gate, name, mail, look):
    expect(gate.field("Username")).to_be_focused()
    look("gate-sign-in")
    gate.button("Register").click()
    look("gate-register")
    register(gate, "no name", "ada@example.com")
    expect(gate.field("Username")).to_have_attribute("aria-invalid", "true")
    register(gate, name)
    expect(gate.heading("Dashboard")).to_be_visible()
    notice = gate.page.get_by_text(f"Verify {name}@example.com before you make your first key")
    expect(notice).to_be_visible()
    look("gate-unverified")
    first = mail.link("verify", name)
    gate.button("Send it again").click()
    expect(gate.page.get_by_text("An e-mail with a link is on its way", exact=True)).to_be_visible()
    mail.link("verify", name)

    gate.page.goto(first)
    expect(gate.heading("Is this address yours?")).to_be_visible()
    look("gate-verify")
    gate.button("Yes, it is mine").click()
    expect(gate.page.get_by_text("Your address is verified.")).to_be_visible()
    expect(gate.page).to_have_url(gate.url + "/")
    gate.button("Go on").click()
    expect(gate.heading("Dashboard")).to_be_visible()
    expect(notice).to_be_hidden()

    gate.page.goto(first)
    gate.button("Yes, it is mine").click()
    expect(gate.page.get_by_role("alert")).to_contain_text("was used, or is too old")


def test_a_forgotten_password_is_set_anew_by_a_link(gate, name, mail, look):
    make_user(gate, name)
    gate.button("Forgot your password?").click()
    gate.field("E-mail address").fill(f"{name}@example.com")
    look("gate-forgot")
    gate.button("Send the link").click()
    expect(gate.page.get_by_text("an e-mail with a link is on its way there")).to_be_visible()
    gate.button("Back to signing in").click()
    expect(gate.button("Sign in")).to_be_visible()

    link = mail.link("reset", name)
    gate.page.goto(link)
    gate.field("New password").fill("four quite plain words")
    look("gate-reset")
    gate.button("Set the password").click()
    expect(gate.page.get_by_text("The password is set.")).to_be_visible()
    expect(gate.page).to_have_url(gate.url + "/")
    gate.button("Sign in").click()
    send_sign_in(gate, name, "four quite plain words")
    expect(gate.heading("Dashboard")).to_be_visible()

    gate.page.goto(link)
    gate.field("New password").fill("four other plain words")
    gate.button("Set the password").click()
    expect(gate.page.get_by_role("alert")).to_contain_text("Ask for another one")
    gate.button("Send another link").click()
    expect(gate.button("Send another link")).to_be_hidden()


def test_an_invited_person_becomes_a_user_by_the_link(gate, name, look):
    link = gate.call("POST", "/api/invite", {"role": "viewer"})["link"]
    gate.page.goto(link)
    expect(gate.page.get_by_text("You were invited.")).to_be_visible()
    look("gate-invite")
    register(gate, name)
    expect(gate.heading("Dashboard")).to_be_visible()
    expect(gate.page).to_have_url(re.compile(r"/(#/)?$"))
    users = gate.call("GET", f"/api/user?keyword={name}")["items"]
    assert users[0]["role"] == "viewer"


def test_a_link_that_is_not_whole_says_so(gate):
    gate.page.goto(f"{gate.url}/link#verify=")
    expect(gate.page.get_by_text("This link is not whole.")).to_be_visible()
    gate.button("Go on").click()
    expect(gate.button("Sign in")).to_be_visible()


def test_somebody_signs_in_with_the_provider(gate, name, issuer):
    gate.page.request.put(f"{issuer}/users/{name}", data={"email": f"{name}@example.com"})
    # The provider's page has a style sheet from elsewhere.
    gate.page.route(re.compile("^https:"), lambda route: route.fulfill(body=""))
    gate.page.get_by_role("link", name="Sign in with Example ID").click()
    gate.page.get_by_placeholder("sub").fill(name)
    gate.page.get_by_role("button", name="Authorize").click()
    expect(gate.heading("Dashboard")).to_be_visible()


def test_a_sign_in_that_fails_on_the_way_back_leads_to_the_gate_and_says_why(gate):
    gate.page.goto(f"{gate.url}/api/oidc/callback?error=access_denied&state=x&code=secret")
    expect(gate.page.get_by_role("alert")).to_contain_text("not begun in this browser")
    expect(gate.page).to_have_url(f"{gate.url}/")
    expect(gate.button("Sign in")).to_be_visible()


def test_somebody_who_is_signed_in_is_told_why_another_sign_in_failed(gate, name, look):
    make_user(gate, name)
    send_sign_in(gate, name, PASSWORD)
    expect(gate.heading("Dashboard")).to_be_visible()
    gate.page.goto(f"{gate.url}/api/oidc/callback?error=access_denied&state=x&code=secret")
    refused = gate.page.get_by_role("alert")
    expect(refused).to_contain_text("not begun in this browser")
    expect(refused).to_contain_text(f"You are still signed in as {name}.")
    expect(gate.heading("Dashboard")).to_be_visible()
    expect(gate.page).to_have_url(re.compile(rf"^{re.escape(gate.url)}/(#/)?$"))
    look("gate-still-signed-in")
    refused.get_by_role("button", name="Close").click()
    expect(refused).to_have_count(0)


def test_refusals_of_a_log_in_say_what_helps(gate, name, look):
    user_id = make_user(gate, name)
    gate.call("POST", "/api/user/manage", {"id": user_id, "action": "disable"})
    refused = gate.page.get_by_role("alert")
    send_sign_in(gate, name, PASSWORD)
    expect(refused).to_contain_text("This user is disabled.")
    for _ in range(5):
        with gate.page.expect_response("**/api/user/login"):
            send_sign_in(gate, f"no-{name}", "not the password")
        expect(refused).to_contain_text("Username or password is wrong.")
    send_sign_in(gate, f"no-{name}", "not the password")
    expect(refused).to_contain_text("Too many attempts. Try again at")
    look("gate-refused")


def test_what_the_server_says_is_said_in_the_readers_language(gate, name):
    gate.button("中文").click()
    gate.button("注册").click()
    gate.field("用户名").fill("no name")
    gate.field("邮箱地址").fill(f"{name}@example.com")
    gate.field("密码").fill(PASSWORD)
    gate.button("注册").click()
    expect(gate.page.get_by_role("alert")).to_contain_text("应为 1 到 64 个英文字母")
    gate.page.goto(f"{gate.url}/link#invite=unknown")
    gate.field("用户名").fill(name)
    gate.field("邮箱地址").fill(f"{name}@example.com")
    gate.field("密码").fill(PASSWORD)
    gate.button("注册").click()
    expect(gate.page.get_by_role("alert")).to_contain_text("邀请无效、已用完、已撤销或已过期")


def test_a_session_that_has_ended_leads_back_to_where_one_was(gate, name):
    make_user(gate, name)
    gate.open("/endpoints")
    send_sign_in(gate, name, PASSWORD)
    expect(gate.heading("Endpoints")).to_be_visible()
    gate.page.wait_for_load_state(
        "networkidle"
    )  # else what it still asks for ends the session first
    gate.page.context.clear_cookies()
    gate.page.get_by_role("link", name="Models").click()
    expect(gate.button("Sign in")).to_be_visible()
    send_sign_in(gate, name, PASSWORD)
    expect(gate.heading("Models")).to_be_visible()


def test_over_plain_http_from_another_machine_the_page_says_how_to_go_on(browser, product, name):
    # The name is no loopback's to the browser, and so its page no secure context.
    rules = "--host-resolver-rules=MAP tollhouse.test 127.0.0.1"
    elsewhere = launch(browser.browser_type, rules)
    page = elsewhere.new_page(viewport=DESKTOP, locale="en-GB")
    console = Console(page, product)
    make_user(console, name)
    port = product.ready["admin_url"].rpartition(":")[2]
    page.goto(f"http://tollhouse.test:{port}/")
    send_sign_in(console, name, PASSWORD)
    expect(page.get_by_text("browsers keep no session there")).to_be_visible()
    expect(page.get_by_text(f"ssh -L {port}:127.0.0.1:{port} tollhouse.test")).to_be_visible()
    expect(page.get_by_text("admin.insecure_http")).to_be_visible()
    page.screenshot(path=PICTURES / "gate-plain-http-desktop-light.png")
    elsewhere.close()
