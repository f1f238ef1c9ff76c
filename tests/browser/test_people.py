"""People and their wallets in the console: users, accounts, codes, invitations, the audit, warnings."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.console import Console
from tests.e2e.product import running

CONFIG = """
[admin]
registration = "invite"

[groups.research]
description = "For the lab"
users = "all"
"""
PASSWORD = "three plain words"


@pytest.fixture(scope="module")
def product():
    """An installation where people are invited, with a second group."""
    with running(CONFIG) as started:
        yield started


@pytest.fixture
def elsewhere(browser, product):
    """The console in a browser of somebody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 860}, locale="en-GB")
    context.set_default_timeout(15_000)
    yield Console(context.new_page(), product)
    context.close()


def person(console, username, **fields):
    """A user who has a password; their id."""
    body = {"username": username, "password": PASSWORD, **fields}
    return console.call("POST", "/api/user", body)["id"]


def drawer(console, title):
    return console.page.get_by_role("dialog", name=title, exact=True)


def act(console, of, item):
    """Choose from the menu of a row."""
    console.page.get_by_role("button", name=f"Actions for {of}").click()
    console.page.get_by_role("listitem").get_by_role("button", name=item, exact=True).click()


def toast(console, text):
    expect(console.page.get_by_text(text)).to_be_visible()


# Users


def test_a_user_gets_a_one_time_password_and_chooses_their_own(console, elsewhere, look):
    console.go("Users")
    console.button("Create user").click()
    form = drawer(console, "Create user")
    form.get_by_label("Username").fill("grace")
    form.get_by_label("Display name").fill("Grace Hopper")
    form.get_by_label("E-mail").fill("grace@example.com")
    form.get_by_label("Group").select_option("research")
    form.get_by_label("To begin with").fill("12.5")
    look("users-create")
    form.get_by_role("button", name="Create", exact=True).click()
    made = drawer(console, "grace is created")
    once = made.locator("pre").inner_text()
    look("users-created")
    made.get_by_role("button", name="Done").click()
    expect(console.row("Grace Hopper")).to_contain_text("$12.50")
    elsewhere.open()
    elsewhere.field("Username").fill("grace")
    elsewhere.field("Password").fill(once)
    elsewhere.button("Sign in").click()
    elsewhere.field("One-time password").fill(once)
    elsewhere.field("New password").fill(PASSWORD)
    elsewhere.button("Go on").click()
    expect(elsewhere.heading("Dashboard")).to_be_visible()
    look("users")


def test_a_mistake_stands_at_its_field(console, look):
    console.open("/admin/users?new=1")
    form = drawer(console, "Create user")
    form.get_by_label("Username").fill("not a name")
    form.get_by_label("E-mail").fill("nowhere")
    form.get_by_role("button", name="Create", exact=True).click()
    expect(form.get_by_label("Username")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("E-mail")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_text("Something above is not right yet.")).to_be_visible()
    look("users-mistakes")


def test_users_are_found_edited_disabled_and_deleted(console, look):
    ida = person(console, "ida", email="ida@example.com")
    console.open("/admin/users")
    console.page.get_by_label("Search name or e-mail").fill("ida@")
    expect(console.page).to_have_url(re.compile("keyword=ida"))
    expect(console.page.get_by_role("row")).to_have_count(2)
    console.page.get_by_role("link", name="ida", exact=True).click()
    form = drawer(console, "ida")
    form.get_by_label("Display name").fill("Ida Rhodes")
    form.get_by_label("Role").select_option("operator")
    look("users-edit")
    console.button("Save").click()
    expect(console.row("Ida Rhodes")).to_contain_text("Operator")
    act(console, "ida", "Disable")
    expect(console.row("Ida Rhodes")).to_contain_text("Disabled")
    console.button("Undo").click()
    expect(console.row("Ida Rhodes")).to_contain_text("Enabled")
    act(console, "ida", "Delete")
    question = drawer(console, "Delete ida")
    expect(question.get_by_role("button", name="Delete")).to_be_disabled()
    question.get_by_label("Type ida to confirm").fill("ida")
    look("users-delete")
    question.get_by_role("button", name="Delete").click()
    expect(console.page.get_by_text("Nothing matches")).to_be_visible()
    look("users-none")
    assert all(each["id"] != ida for each in console.call("GET", "/api/user")["items"])


def test_what_a_user_signs_in_with_is_seen_and_ended(console, elsewhere, look):
    joan = person(console, "joan")
    elsewhere.sign_in("joan", PASSWORD)
    made = elsewhere.page.request.post(
        f"{elsewhere.url}/api/user/self/access_token",
        data={"name": "backup", "scopes": ["token.read"]},
        headers={"Origin": elsewhere.url},
    )
    assert made.ok, made.text()
    console.open(f"/admin/users?user={joan}")
    console.button("Sign-in and access").click()
    form = drawer(console, "joan")
    expect(form.get_by_text("127.0.0.1")).to_be_visible()
    expect(form.get_by_text("backup", exact=True)).to_be_visible()
    look("users-access")
    console.button("End all").click()
    drawer(console, "End the sessions of joan").get_by_role("button", name="End all").click()
    expect(form.get_by_text("They are signed in nowhere.")).to_be_visible()
    form.get_by_role("button", name="End the access token backup").click()
    drawer(console, "End the access token backup").get_by_role("button", name="End").click()
    expect(form.get_by_text("They have none.")).to_be_visible()
    console.button("New one-time password").click()
    console.button("Make the password").click()
    expect(drawer(console, "New password for joan").locator("pre")).to_have_text(
        re.compile(r"\S{8}")
    )
    elsewhere.page.reload()
    expect(elsewhere.button("Sign in")).to_be_visible()


def test_an_edit_that_came_second_keeps_what_was_typed(console):
    ruth = person(console, "ruth")
    console.open(f"/admin/users?user={ruth}")
    form = drawer(console, "ruth")
    form.get_by_label("Display name").fill("Ruth T.")
    console.call("PATCH", f"/api/user/{ruth}", {"group": "research"})
    console.button("Save").click()
    expect(form.get_by_text("Somebody else changed this meanwhile")).to_be_visible()
    form.get_by_role("button", name="Load what they saved").click()
    expect(form.get_by_label("Group")).to_have_value("research")
    expect(form.get_by_label("Display name")).to_have_value("Ruth T.")
    console.button("Save").click()
    expect(form).to_be_hidden()
    expect(console.row("Ruth T.")).to_contain_text("research")


# Accounts and wallets


def test_a_team_shares_a_wallet_with_a_cap_for_a_member(console, elsewhere, look):
    person(console, "olga")
    person(console, "ben", display_name="Ben")
    console.go("Accounts")
    console.button("Create account").click()
    form = drawer(console, "Create account")
    form.get_by_label("Name").fill("search team")
    form.get_by_label("Owner").fill("olga")
    form.get_by_label("In all").fill("20")
    look("accounts-create")
    form.get_by_role("button", name="Create", exact=True).click()
    expect(console.heading("search team")).to_be_visible()
    console.button("Add member").click()
    form = drawer(console, "Add member")
    form.get_by_label("Username").fill("ben")
    form.get_by_role("group", name="Cap").get_by_role("button", name="At most").click()
    form.get_by_label("In all").fill("5")
    console.button("Add a limit").click()
    form.get_by_label("At most", exact=True).and_(console.page.get_by_role("textbox")).fill("100")
    look("accounts-member")
    form.get_by_role("button", name="Add", exact=True).click()
    expect(console.row("Ben")).to_contain_text("of $5.00")
    expect(console.row("Ben")).to_contain_text("100 requests / minute")
    look("accounts-members")
    elsewhere.sign_in("ben", PASSWORD)
    elsewhere.go("Wallet")
    elsewhere.page.get_by_label("Wallet", exact=True).select_option("search team")
    expect(elsewhere.page.get_by_text("Yours of it")).to_be_visible()
    elsewhere.button("Use for new keys").click()
    expect(elsewhere.page.get_by_text("For new keys", exact=True)).to_be_visible()
    expect(elsewhere.button("Add member")).to_have_count(0)


def test_money_is_given_and_booked_and_the_history_tells(console, look):
    account = console.call("POST", "/api/account", {"name": "lab", "quota_usd": 1})["id"]
    console.open("/admin/accounts")
    expect(console.row("lab")).to_be_visible()
    look("accounts")
    console.page.get_by_role("link", name="lab", exact=True).click()
    console.button("Give money").click()
    form = drawer(console, "Give money")
    form.get_by_label("Amount").fill("much")
    form.get_by_role("button", name="Give", exact=True).click()
    expect(form.get_by_label("Amount")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Amount").fill("5")
    form.get_by_label("Reason").fill("for November")
    look("accounts-give")
    form.get_by_role("button", name="Give", exact=True).click()
    toast(console, "$5.00 given; $6.00 left")
    act(console, "lab", "Book a payment")
    form = drawer(console, "Book a payment")
    form.get_by_label("Amount").fill("25")
    form.get_by_label("Reference").fill("invoice-1147")
    form.get_by_role("button", name="Book", exact=True).click()
    toast(console, "$25.00 given; $31.00 left")
    console.button("History").click()
    expect(console.row("Payment")).to_contain_text("+$25.00")
    expect(console.row("for November")).to_contain_text("admin")
    look("accounts-history")
    assert console.call("GET", f"/api/account/{account}")["remain_usd"] == 31


def test_an_account_subscribes_to_a_group_until_it_is_ended(console, look):
    account = console.call("POST", "/api/account", {"name": "guild"})["id"]
    console.open(f"/admin/accounts/{account}?tab=subscriptions")
    console.button("Subscribe to a group").click()
    form = drawer(console, "Subscribe to a group")
    form.get_by_label("Group").select_option("research")
    form.get_by_label("Ends").fill("2031-05-01")
    look("accounts-subscribe")
    form.get_by_role("button", name="Subscribe to a group").click()
    expect(console.row("research")).to_contain_text("Active")
    look("accounts-subscriptions")
    act(console, "research", "End now")
    drawer(console, "End the subscription to research").get_by_role(
        "button", name="End now"
    ).click()
    expect(console.row("research")).to_contain_text("Ended")


def test_a_code_of_a_batch_is_redeemed_and_the_rest_is_revoked(console, elsewhere, look):
    person(console, "mary")
    console.go("Redeem codes")
    console.button("Create codes").click()
    form = drawer(console, "Create codes")
    form.get_by_label("How many").fill("3")
    form.get_by_label("Amount of each").fill("7.5")
    form.get_by_label("Name").fill("workshop")
    form.get_by_label("Beginning").fill("Fall26")
    look("redeem-create")
    form.get_by_role("button", name="Create", exact=True).click()
    made = drawer(console, "3 codes were made")
    codes = made.locator("pre").inner_text().split()
    look("redeem-created")
    with console.page.expect_download() as download:
        made.get_by_role("button", name="Download").click()
    assert download.value.path().read_text().split() == codes
    made.get_by_role("button", name="Copy all").click()
    assert console.page.evaluate("navigator.clipboard.readText()").split() == codes
    made.get_by_role("button", name="I have kept them").click()
    elsewhere.sign_in("mary", PASSWORD)
    elsewhere.go("Wallet")
    elsewhere.field("Code").fill("nonsense")
    elsewhere.button("Redeem").click()
    expect(elsewhere.field("Code")).to_have_attribute("aria-invalid", "true")
    elsewhere.field("Code").fill(codes[0].lower().replace("-", " "))
    elsewhere.button("Redeem").click()
    expect(elsewhere.page.get_by_text("$7.50 came onto this wallet; $7.50 left.")).to_be_visible()
    elsewhere.button("History").click()
    expect(elsewhere.row("Code redeemed")).to_contain_text("+$7.50")
    console.page.reload()
    expect(console.page.get_by_role("row").filter(has_text="mary")).to_contain_text("Used")
    console.page.get_by_label("Choose all of this page").check()
    look("redeem")
    console.button("Revoke 2 codes").click()
    drawer(console, "Revoke 2 codes").get_by_role("button", name="Revoke", exact=True).click()
    expect(console.page.get_by_role("row").filter(has_text="Revoked")).to_have_count(2)


def test_one_sees_ones_own_wallet(console, elsewhere, look, page):
    person(console, "nora", grant_usd=3)
    console.button("Sign out").click()
    console.sign_in("nora", PASSWORD)
    console.go("Wallet")
    expect(page.get_by_text("of $3.00")).to_be_visible()
    look("wallet")
    console.page.get_by_role("button", name="Actions for nora").first.click()
    console.button("Rename").click()
    form = drawer(console, "Edit account")
    form.get_by_label("Name").fill("Nora's own")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Nora's own")).to_be_visible()


# Invitations, the audit, warnings, roles


def test_an_invitation_is_a_link_that_works_until_it_is_revoked(console, elsewhere, look):
    console.go("Invitations")
    look("invites-none")
    console.button("Invite").click()
    form = drawer(console, "Invite")
    form.get_by_label("Role").select_option("viewer")
    form.get_by_label("Group").select_option("research")
    form.get_by_label("On their wallet").fill("7.5")
    look("invites-create")
    console.button("Make the link").click()
    made = drawer(console, "The invitation is ready")
    link = made.locator("pre").inner_text()
    assert re.fullmatch(r"https?://\S+/link#invite=\S+", link)
    look("invites-created")
    console.button("Done").click()
    expect(console.row("By link")).to_contain_text("0 of 1")
    expect(console.row("By link")).to_contain_text("$7.50")
    look("invites")
    console.button("Revoke").click()
    drawer(console, "Revoke the invitation").get_by_role("button", name="Revoke").click()
    expect(console.row("By link")).to_contain_text("Revoked")
    secret = link.partition("invite=")[2]
    body = {"username": "eve", "email": "e@example.com", "password": PASSWORD, "invite": secret}
    refused = elsewhere.page.request.post(f"{elsewhere.url}/api/user/register", data=body)
    assert refused.status == 410


def test_the_audit_tells_who_did_it_and_what_became_of_each_field(console, look):
    dora = person(console, "dora")
    console.call("PATCH", f"/api/user/{dora}", {"display_name": "Dora", "role": "viewer"})
    console.open(f"/admin/users?user={dora}")
    drawer(console, "dora").get_by_role("link", name="Changes to them").click()
    expect(console.row("changed")).to_contain_text("admin")
    console.row("changed").get_by_role("link", name=f"User {dora}").click()
    found = drawer(console, f"User {dora}: changed")
    role = found.get_by_role("row").filter(has_text="role")
    expect(role.get_by_role("cell")).to_have_text(["user", "viewer"])
    expect(found.get_by_text("127.0.0.1")).to_be_visible()
    look("audit-row")
    address = console.page.url
    console.page.goto("about:blank")
    console.page.goto(address)
    expect(found).to_be_visible()
    console.button("Close").click()
    console.button("Clear filters").click()
    console.page.get_by_label("Action").select_option("API key: created")
    who = console.page.get_by_role("combobox", name="Who")
    who.click()
    console.page.get_by_role("option", name="the command line").click()
    expect(console.page.get_by_text("Nothing was changed")).to_be_visible()
    console.button("Show all").click()
    expect(console.row("signed in").first).to_be_visible()
    who.fill("dor")
    look("audit-who")
    console.page.get_by_role("option", name="dora").click()
    expect(console.page).to_have_url(re.compile(rf"actor={dora}"))
    console.button("Clear filters").click()
    look("audit")


def test_warnings_are_chosen_and_a_webhook_shows_its_secret_once(console, look):
    console.go("Warnings")
    console.page.get_by_label("Warnings come by e-mail").uncheck()
    toast(console, "No more warnings by e-mail")
    look("warnings")
    console.button("Create webhook").click()
    form = drawer(console, "Create webhook")
    form.get_by_label("Address").fill("ftp://x")
    form.get_by_role("button", name="Create", exact=True).click()
    expect(form.get_by_label("Address")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Address").fill("https://hooks.example.com/tollhouse")
    look("warnings-create")
    form.get_by_role("button", name="Create", exact=True).click()
    made = drawer(console, "The webhook is ready")
    expect(made.locator("pre")).to_have_text(re.compile("^whsec_"))
    look("warnings-created")
    made.get_by_role("button", name="Done").click()
    console.row("hooks.example.com").get_by_role("button", name="Delete").click()
    drawer(console, "Delete the webhook").get_by_role("button", name="Delete").click()
    expect(console.page.get_by_text("No webhooks")).to_be_visible()


CHANGES = re.compile(
    "^(Create|Add|Give|Book|Edit|Delete|Disable|Enable|Invite|Revoke|Redeem|Rename|Subscribe|Actions for)"
)


@pytest.mark.parametrize(
    ("page_name", "path"),
    [
        ("Users", "/admin/users"),
        ("admin", "/admin/users?user=1"),
        ("Accounts", "/admin/accounts"),
        ("default", "/admin/accounts/1?tab=members"),
        ("Redeem codes", "/admin/redeem"),
        ("Invitations", "/admin/invites"),
        ("Audit", "/admin/audit"),
        ("Wallet", "/wallet"),
    ],
)
def test_a_viewer_sees_everything_and_no_button_that_changes(console, elsewhere, page_name, path):
    if not console.call("GET", "/api/user?keyword=vera")["total"]:
        person(console, "vera", role="viewer")
    elsewhere.sign_in("vera", PASSWORD)
    elsewhere.open(path)
    expect(elsewhere.page.get_by_role("heading", name=page_name, exact=True)).to_be_visible()
    expect(elsewhere.page.get_by_label("Loading")).to_have_count(0)
    expect(elsewhere.page.get_by_role("button", name=CHANGES)).to_have_count(0)


def test_an_admin_is_told_why_an_owner_is_not_theirs_to_change(console, elsewhere, look):
    person(console, "amy", role="admin")
    elsewhere.sign_in("amy", PASSWORD)
    elsewhere.open("/admin/users?keyword=admin")
    expect(elsewhere.row("Owner").get_by_label("You cannot change this user")).to_be_visible()
    elsewhere.page.get_by_role("link", name="admin", exact=True).click()
    expect(drawer(elsewhere, "admin").get_by_text("You cannot change this user")).to_be_visible()
    elsewhere.open("/admin/users?new=1")
    roles = drawer(elsewhere, "Create user").get_by_label("Role").get_by_role("option")
    expect(roles).to_have_text(["Operator", "Viewer", "User"])


def test_the_pages_are_there_in_chinese(console, look):
    console.page.get_by_role("button", name="Language").click()
    console.button("中文").click()
    expect(console.heading("总览")).to_be_visible()
    for path, heading in (
        ("/admin/users", "用户"),
        ("/admin/accounts/1", "default"),
        ("/wallet", "钱包"),
        ("/admin/audit", "审计"),
        ("/warnings", "提醒"),
    ):
        console.open(path)
        expect(console.heading(heading)).to_be_visible()
        expect(console.page.get_by_label("加载中")).to_have_count(0)
        look(f"zh-{path.strip('/').replace('/', '-')}")
