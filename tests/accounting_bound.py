"""What double faults may cost at most, as the design declares it, and as the machine keeps count of it.

A double fault takes from Valkey what nobody tells it again before the pause is over: its data are lost while a worker
is lost too, or stopped, or cut off. Until the worker is back, what it carries is counted nowhere, and others may spend
the same money: by so much a cap may be overrun, and by no more. What only a lost worker could tell is forfeit.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol


class Exposed(Protocol):
    """What the bound is made of: a call, and the most that may be held for it."""

    request_id: str
    most: int


@dataclass
class Bound:
    """`scopes_of` gives the scopes of a call."""

    scopes_of: Callable[[Exposed], Iterable[str]]
    untold: set[str] = field(default_factory=set)
    """Calls that Valkey has lost and that nobody has told it of again; they are counted nowhere."""
    forfeit: set[str] = field(default_factory=set)
    """Those that nobody can tell of any more: the row may be missing, and of anything up to the hold."""
    overrun: dict[str, int] = field(default_factory=dict)
    """By how much each scope may be overrun, of all double faults so far."""

    def declare(self, calls: Iterable[Exposed], *, is_forfeit: bool = False) -> None:
        """A double fault with these calls."""
        for call in calls:
            if call.request_id not in self.untold:
                self.untold.add(call.request_id)
                for scope in self.scopes_of(call):
                    self.overrun[scope] = self.overrun.get(scope, 0) + call.most
            if is_forfeit:
                self.forfeit.add(call.request_id)

    def told(self, calls: Iterable[Exposed]) -> None:
        """Valkey knows of these again; what was spent meanwhile stays spent."""
        self.untold -= {call.request_id for call in calls} - self.forfeit
