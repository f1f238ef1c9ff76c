"""Pages of 100 out of a long list, over HTTP: each filter in each order, forwards and backwards, on one connection."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp

from gateway.store.token_pages import SORTS

FILTERS = {
    "none": "",
    "status=1": "status=1",
    "status=2": "status=2",
    "status=3": "status=3",
    "status=4": "status=4",
    "group=vip (20 %)": "group=vip",
    "group=trial (0.05 %)": "group=trial",
    "group=default": "group=default",
    "keyword=abcd (rare)": "keyword=abcd",
    "keyword=a7f (0.1 %)": "keyword=a7f",
    "keyword=prod (20 %)": "keyword=prod",
    "keyword=pr (by prefix)": "keyword=pr",
    "keyword=nothing": "keyword=nothing",
    "token=abcd": "token=abcd",
    "status=4&group=vip": "status=4&group=vip",
    "status=3&keyword=prod": "status=3&keyword=prod",
    "page 20": "p=20",
    "page 100": "p=100",
}
WHOSE = {"one owner": "", "everybody's": "user_id=all"}
_ORDERS = ("desc", "asc")


async def measure_pages(
    url: str, access_token: str, reps: int, processor_s: Callable[[], float]
) -> dict[str, Any]:
    """Milliseconds of each kind of page, by whose tokens they are of and by filter; shown as they come.

    `processor_s` says how much of the processor the app and Postgres have used so far.
    """
    found: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {access_token}"}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        for whose, filter_name in itertools.product(WHOSE, FILTERS):
            if filter_name == "none":
                print(f"\n{whose}, page of 100: p50/p99 ms by order, then of the processor")
                print(" " * 24 + "".join(f"{sort:>15}" for sort in SORTS) + f"{'processor':>12}")
            words = (WHOSE[whose], FILTERS[filter_name])
            base = "&".join(["/api/token/?size=100", *filter(None, words)])
            figures = await _measure(session, base, reps, processor_s)
            found.setdefault(whose, {})[filter_name] = figures
            cells = "".join(f"{each['p50']:10.1f}/{each['p99']:4.0f}" for each in _orders(figures))
            print(f"{filter_name:24}{cells}{figures['processor_ms']:12.1f}", flush=True)
    return found


def worst(found: dict[str, Any]) -> float:
    """The largest p99 of all kinds of pages."""
    rows = (row for by_filter in found.values() for row in by_filter.values())
    return max(each["p99"] for row in rows for each in _orders(row))


def _orders(figures: dict[str, Any]) -> Iterator[dict[str, float]]:
    return (figures[sort] for sort in SORTS)


async def _measure(
    session: aiohttp.ClientSession, base: str, reps: int, processor_s: Callable[[], float]
) -> dict[str, Any]:
    """One filter: milliseconds by order, and the processor's of a page, warm-ups included."""
    begun_s, pages = processor_s(), 0
    figures: dict[str, Any] = {}
    for sort in SORTS:
        took = []
        for order in _ORDERS:
            path = f"{base}&sort={sort}&order={order}"
            await _page_ms(session, path)  # warms up
            took += [await _page_ms(session, path) for _ in range(reps)]
            pages += 1 + reps
        took.sort()
        figures[sort] = {
            "p50": round(statistics.median(took), 2),
            "p99": round(took[-1 - len(took) // 100], 2),
        }
    figures["processor_ms"] = round((processor_s() - begun_s) * 1000 / pages, 2)
    return figures


async def _page_ms(session: aiohttp.ClientSession, path: str) -> float:
    begun = time.perf_counter()
    async with session.get(path) as answer:
        await answer.read()
        answer.raise_for_status()
    return (time.perf_counter() - begun) * 1000
