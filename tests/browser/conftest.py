"""A real browser before the real product: `make browser`.

One `tollhouse run` and one Chromium for the run, a fresh context (cookies, preferences) for each test. `look` keeps a
picture of every page it is shown, light and dark, wide and narrow, and asks axe-core what keeps people from using it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, sync_playwright

from tests.browser.console import PASSWORD, Console
from tests.e2e.product import Product, running

PICTURES = Path(os.environ.get("TOLLHOUSE_PICTURES", ".browser"))
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 360, "height": 740}
# Not worth a failure by itself: these are advice.
GRAVE = {"serious", "critical"}
LONGEST_MS = 15_000


@pytest.fixture(scope="session")
def product() -> Iterator[Product]:
    """The product, as `make run` starts it; its administrator has a password of their own."""
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium for the run."""
    with sync_playwright() as playwright:
        launched = launch(playwright.chromium)
        yield launched
        launched.close()


def launch(kind: BrowserType, *arguments: str) -> Browser:
    """Debian's Chromium, or what TOLLHOUSE_CHROMIUM names."""
    found = os.environ.get("TOLLHOUSE_CHROMIUM") or shutil.which("chromium")
    if found is None:
        pytest.fail(
            "There is no Chromium: apt-get install chromium, or name one in TOLLHOUSE_CHROMIUM."
        )
    # Chromium starts no sandbox for root; what it opens here is our own page.
    return kind.launch(executable_path=found, args=["--no-sandbox", *arguments])


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that has never been here; anything that it says in its console but should not fails the test."""
    made = browser.new_context(
        viewport=DESKTOP, locale="en-GB", permissions=["clipboard-read", "clipboard-write"]
    )
    made.set_default_timeout(LONGEST_MS)
    said: list[str] = []
    made.on("weberror", lambda error: said.append(str(error.error)))
    made.on("console", lambda told: said.append(told.text) if told.type == "error" else None)
    yield made
    made.close()
    # A refusal that the page shows is told there by the browser, too.
    unexpected = [each for each in said if "the server responded with a status of" not in each]
    assert unexpected == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty tab."""
    return context.new_page()


@pytest.fixture
def console(page: Page, product: Product) -> Console:
    """The console, signed in as the administrator."""
    opened = Console(page, product)
    opened.sign_in("admin", PASSWORD)
    return opened


@pytest.fixture
def look(page: Page) -> Callable[[str], None]:
    """Looks at the page as it is: keeps pictures under a name, and fails for what is grave."""
    PICTURES.mkdir(exist_ok=True)

    def look_at(name: str) -> None:
        found: list[Any] = []
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            for size, shown in (("desktop", DESKTOP), ("phone", PHONE)):
                page.set_viewport_size(shown)
                page.screenshot(
                    path=PICTURES / f"{name}-{size}-{theme}.png", full_page=size == "desktop"
                )
                overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, f"{name} is {overflow} pixels too wide ({size})"
                found += Axe().run(page).response["violations"]
        page.emulate_media(color_scheme=None)
        page.set_viewport_size(DESKTOP)
        grave = {
            each["id"]: [node["html"][:160] for node in each["nodes"]][:3]
            for each in found
            if each["impact"] in GRAVE
        }
        assert grave == {}, name

    return look_at
