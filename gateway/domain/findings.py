"""What an audit's looks have found, kept within bounds: so many differences are named, the others are counted.

Pure. A difference that is there at one look and gone at the next was only on its way.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.domain.conservation import Difference, Kind

MOST_NAMED: Final = 1000
"""Differences that are kept whole, and as many remarks."""


class Findings:
    """The differences of one look, or those of them that were there `before`, at the look before it.

    Of what was only counted before, as many count again, whichever they are. `account_id`: all others' are left out.
    """

    def __init__(
        self,
        before: "Findings | None" = None,
        *,
        account_id: int | None = None,
        most: int = MOST_NAMED,
    ) -> None:
        self._before = before
        self._account_id = account_id
        self._room = dict.fromkeys((False, True), most)
        self._named: list[Difference] = []
        self.ids: dict[tuple[Kind, str], set[str]] = {}
        """The calls of what is named, by kind and scope."""
        self.counted: Counter[Kind] = Counter()
        """What is not named."""
        self.overspend_nusd = 0
        """Of all scopes together, what no lowering of a grant explains."""

    @property
    def differences(self) -> list[Difference]:
        """Those that are named."""
        return [each for each in self._named if each.kind is not Kind.LOWERED]

    @property
    def remarks(self) -> list[Difference]:
        """What is legal and worth a look."""
        return [each for each in self._named if each.kind is Kind.LOWERED]

    @property
    def counts(self) -> Counter[Kind]:
        """How many there are of each kind, named or not."""
        return self.counted + Counter(each.kind for each in self._named)

    @property
    def wrong(self) -> bool:
        """Whether anything does not add up."""
        return any(kind is not Kind.LOWERED for kind in self.counts)

    @property
    def nameless(self) -> set[str]:
        """Scopes of named differences whose account is not known yet."""
        return {each.scope for each in self._named if not each.account_id}

    def names(self, kind: Kind, scope: str) -> bool:
        """Whether a difference would be kept whole: else nobody need look for its calls."""
        if self._before is not None:
            return (kind, scope) in self._before.ids
        return self._room[kind is Kind.LOWERED] > 0

    def add(self, found: Iterable[Difference]) -> None:
        """Keep or count what was found, as far as it was there before."""
        for each in found:
            if self._account_id and each.account_id not in (0, self._account_id):
                continue
            persisting = self._persisting(each)
            if persisting is None:
                continue
            if self.names(each.kind, each.scope):
                self._room[each.kind is Kind.LOWERED] -= 1
                self.ids.setdefault((each.kind, each.scope), set()).update(persisting.ids)
                self._named.append(persisting)
            else:
                self.counted[each.kind] += 1
            if each.kind is Kind.OVERSPEND:
                over, lowered = (each.figures[f"{n}_nusd"] or 0 for n in ("over", "by_lowering"))
                self.overspend_nusd += over - lowered

    def own(self, owners: Mapping[str, int]) -> None:
        """Fill in the accounts of nameless scopes."""
        named = [
            replace(each, account_id=each.account_id or owners.get(each.scope, 0))
            for each in self._named
        ]
        wanted = self._account_id
        self._named = [each for each in named if not wanted or each.account_id == wanted]

    def _persisting(self, difference: Difference) -> Difference | None:
        """As much of it as was there before."""
        before = self._before
        if before is None:
            return difference
        ids = before.ids.get((difference.kind, difference.scope))
        if ids is None:
            kind = difference.kind
            return difference if self.counted[kind] < before.counted[kind] else None
        if not len(difference.ids) == difference.count > 0:
            return difference
        both = tuple(each for each in difference.ids if each in ids)
        return replace(difference, ids=both, count=len(both)) if both else None
