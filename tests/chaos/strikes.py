"""What the faults of a run excuse, and what they do not. Pure.

Valkey and Postgres may be hit as the schedule likes: that excuses nothing. A replica that was killed, or stopped for
longer than its leases last, cannot tell what its calls came to, so those may be estimates. Only the declared double
fault, a replica killed as Valkey loses its data, may lose a row.
"""

from dataclasses import dataclass, field

from tests.chaos.records import Answer

_SETTLING_US = 1_000_000  # from the answer until everything about it is with a store
_POSTING_US = 2_000_000  # from the answer until the ledger has it


@dataclass
class Strike:
    """A fault that was there: `ended_us` is when it was healed, `recovered_s` how long it was felt after that."""

    kind: str
    begun_us: int
    ended_us: int = 0
    replica: int = -1
    recovered_s: float = 0.0
    note: str = ""


@dataclass
class Strikes:
    """All of a run, in order. `lease_s` is the setting."""

    lease_s: float
    all: list[Strike] = field(default_factory=list)

    def excuses(self, answer: Answer, over_us: int) -> bool:
        """Whether a call's replica was killed or stopped for too long while it was on its way, until `over_us`."""
        return any(
            strike.replica == answer.replica
            and answer.sent_us <= strike.ended_us
            and over_us >= strike.begun_us - _SETTLING_US
            for strike in self.all
            if strike.kind in _ESTIMATING
        )

    def lost_with_store(self, answer: Answer, over_us: int) -> bool:
        """Whether a declared double fault may have lost the row of a call that was on its way until `over_us`."""
        return any(
            strike.replica == answer.replica
            and answer.sent_us <= strike.ended_us
            and over_us >= strike.begun_us - _POSTING_US
            for strike in self.all
            if strike.kind == "double"
        )

    def read_by(self, answer: Answer) -> int:
        """When a replica has read a call at the latest: one that was stopped reads it when it goes on."""
        ends = [
            strike.ended_us
            for strike in self.all
            if strike.replica == answer.replica
            and strike.kind in _PAUSES
            and strike.begun_us <= answer.ended_us
            and answer.sent_us <= strike.ended_us
        ]
        return max([answer.ended_us, *ends]) + _SETTLING_US

    def before(self, at_us: int, within_us: int) -> str:
        """The faults in a stretch of time, in words."""
        kinds = [s.kind for s in self.all if at_us - within_us < s.begun_us <= at_us]
        return f", with {', '.join(kinds)} in it" if kinds else ""


_ESTIMATING = frozenset({"kill", "postgres_away_kill", "double", "pause_long"})
_PAUSES = frozenset({"pause", "pause_long"})
