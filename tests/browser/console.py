"""The console as a person uses it: by what it shows, never by how it is made."""

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.product import Product

PASSWORD = "a long password of one's own"


class Console:
    """The console in a tab. Each product's first administrator gets `PASSWORD` when they first sign in."""

    def __init__(self, page: Page, product: Product) -> None:
        self.page = page
        self.product = product
        self.url = product.ready["admin_url"]

    def open(self, path: str = "/") -> None:
        """Go to a page of the console, as by an address that somebody sent."""
        self.page.goto(f"{self.url}/#{path}")

    def sign_in(self, name: str, password: str) -> None:
        """Sign in; the first time with the one-time password that `tollhouse run` printed."""
        self.open()
        self._send_sign_in(name, password)
        heading = self.page.locator("h1", has_text="Dashboard")
        wrong = self.page.get_by_role("alert")
        expect(heading.or_(wrong)).to_be_visible()
        if heading.is_visible():
            return
        once = re.search(r"Sign-in\s+admin / (\S+)", self.product.output)
        assert once, self.product.output
        self._send_sign_in(name, once[1])
        self.page.get_by_label("One-time password").fill(once[1])
        self.page.get_by_label("New password").fill(password)
        self.page.get_by_role("button", name="Go on").click()
        expect(heading).to_be_visible()

    def _send_sign_in(self, name: str, password: str) -> None:
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def go(self, name: str) -> None:
        """Follow a link of the side bar, and wait for its page."""
        self.page.get_by_role("navigation", name="Pages").get_by_role(
            "link", name=name, exact=True
        ).click()
        expect(self.heading(name)).to_be_visible()

    def heading(self, name: str) -> Locator:
        """The head of a page."""
        return self.page.get_by_role("heading", level=1, name=name)

    def row(self, text: str) -> Locator:
        """The row of a table that has this text."""
        return self.page.get_by_role("row").filter(has_text=text)

    def button(self, name: str) -> Locator:
        """A button by its words."""
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        """A field by its label."""
        return self.page.get_by_label(label, exact=True)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """What automation would have done beside the page: a call with the installation's access token."""
        answer = self.page.request.fetch(
            self.url + path,
            method=method,
            data=body,
            headers={"Authorization": f"Bearer {self.product.ready['access_token']}"},
        )
        assert answer.ok, answer.text()
        return answer.json().get("data")
