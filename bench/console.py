"""`.venv/bin/python -m bench.console`: how quickly the console is there, with 10,000 tokens (after `make browser`).

Starts `tollhouse run`, makes the tokens, and opens pages in Chromium: each time in a browser that has never been here,
signed in, until what the page is about can be seen. bench/README.md says what the figures mean.
"""

import argparse
import re
import shutil
import statistics
import sys
import time

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.console import PASSWORD, Console
from tests.e2e.product import Product, running

_BATCH = 100


def main() -> int:
    """Run it; the exit status is 2 where there is no Chromium."""
    parser = argparse.ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--tokens", type=int, default=10_000, help="default 10,000")
    parser.add_argument("--reps", type=int, default=7, help="of each (default 7)")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        print("There is no Chromium.", file=sys.stderr)
        return 2
    config = f"[admin]\nmax_tokens_per_user = {options.tokens + _BATCH}\n"
    with running(config) as product, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _measure(product, browser, options.tokens, options.reps)
        browser.close()
    return 0


def _measure(product: Product, browser: Browser, tokens: int, reps: int) -> None:
    context = browser.new_context()
    console = Console(context.new_page(), product)
    console.sign_in("admin", PASSWORD)
    for _ in range(tokens // _BATCH):
        console.call("POST", "/api/token/", {"name": "app", "count": _BATCH, "quota_usd": 1})
    cookies = context.cookies()
    first, again, turned, weight = [], [], [], 0
    for _ in range(reps):
        fresh = browser.new_context()
        fresh.add_cookies(cookies)
        page = fresh.new_page()
        ms, weight = _opened(page, f"{console.url}/#/", "Today")
        first.append(ms)
        page.goto("about:blank")
        again.append(_opened(page, f"{console.url}/#/", "Today")[0])
        turned += _turned(fresh, f"{console.url}/#/keys")
        fresh.close()
    print(f"first page, never seen before: {_told(first)} ms, {weight / 1000:.0f} KB")
    print(f"first page, seen before: {_told(again)} ms")
    print(f"a page of {tokens:,} tokens, turned over: {_told(turned)} ms")


def _opened(page: Page, url: str, heading: str) -> tuple[float, int]:
    """Milliseconds until a heading of its content is there, and the bytes that came."""
    begun = time.perf_counter()
    page.goto(url)
    expect(page.get_by_role("heading", name=heading)).to_be_visible()
    ms = (time.perf_counter() - begun) * 1000
    sizes = "performance.getEntries().reduce((sum, each) => sum + (each.transferSize ?? 0), 0)"
    return ms, page.evaluate(sizes)


def _turned(context: BrowserContext, url: str) -> list[float]:
    """Milliseconds from a click on the next page until its rows are there."""
    page = context.new_page()
    page.goto(url)
    took = []
    for number in range(2, 5):
        shown = page.locator(".table-foot")
        expect(shown).to_be_visible()
        begun = time.perf_counter()
        page.get_by_role("button", name="Next page").click()
        expect(page).to_have_url(re.compile(rf"[?&]p={number}\b"))
        expect(page.locator("table[aria-busy=false]")).to_be_visible()
        took.append((time.perf_counter() - begun) * 1000)
    return took


def _told(milliseconds: list[float]) -> str:
    return f"median {statistics.median(milliseconds):.0f}, at most {max(milliseconds):.0f}"


if __name__ == "__main__":
    sys.exit(main())
