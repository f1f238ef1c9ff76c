"""How much a stretch of time holds. Pure."""

import heapq
from collections.abc import Iterable


def most_within(spans: Iterable[tuple[int, int, int]], window_us: int) -> tuple[int, int]:
    """The largest sum of weights of (begin, end, weight) that lie wholly in one window, and when that window ends."""
    heap: list[tuple[int, int]] = []
    total = most = at_us = 0
    for begin, end, weight in sorted(spans, key=lambda span: span[1]):
        heapq.heappush(heap, (begin, weight))
        total += weight
        while heap and heap[0][0] <= end - window_us:
            total -= heapq.heappop(heap)[1]
        if total > most:
            most, at_us = total, end
    return most, at_us


def most_at_once(spans: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    """The largest number of (begin, end, number) that overlap, and the number of the last one to begin."""
    ends: list[int] = []
    most = which = 0
    for begin, end, number in sorted(spans):
        while ends and ends[0] <= begin:
            heapq.heappop(ends)
        heapq.heappush(ends, end)
        if len(ends) > most:
            most, which = len(ends), number
    return most, which
