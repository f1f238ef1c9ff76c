"""What limits in the shadow would have refused: counted for `/metrics` and for the table of refusals."""

from collections import Counter
from collections.abc import Sequence

import orjson

from gateway.domain.figures import Figure
from gateway.relay.refusal_counts import RefusalCounts
from gateway.store.refusals import SHADOW
from gateway.store.replies import Refused


class ShadowCounts:
    """Counts since the worker was started; each call once in the table, and once for each such limit in the figures."""

    def __init__(self, refusals: RefusalCounts) -> None:
        self._refusals = refusals
        self._counts: Counter[tuple[str, ...]] = Counter()

    def add(self, token_id: int, shadows: Sequence[Refused]) -> None:
        """Count what would have refused a call of the token."""
        self._refusals.add(token_id, SHADOW)
        for each in shadows:
            self._counts[str(each.scope), str(each.metric), str(each.window)] += 1

    def figures(self) -> list[Figure]:
        """For `/metrics`."""
        return [Figure("tollhouse_shadow_refusals_total", dict(self._counts))]


def log_member(shadows: Sequence[Refused]) -> bytes:
    """What a call's line says of them."""
    told = [
        {"scope": each.scope, "metric": each.metric, "window": each.window, "limit": each.limit}
        for each in shadows
    ]
    return b',"shadow":' + orjson.dumps(told)
