"""Quota units: the whole numbers in which the token API shows and takes money.

Nano-dollars are what is kept; a unit is a whole number of them (500,000 units are a dollar unless
set).
"""

from dataclasses import dataclass, field

from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.limits import MAX_EXACT


@dataclass(frozen=True, slots=True)
class Units:
    """The unit of an installation. Spend is rounded up and grants down, so they always add up."""

    per_usd: int
    nusd: int = field(init=False)
    """Nano-dollars of one unit."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nusd", NUSD_PER_USD // self.per_usd)

    @property
    def largest(self) -> int:
        """The most units that a grant may hold."""
        return (MAX_EXACT - 1) // self.nusd

    def granted(self, granted_nusd: int) -> int:
        """A grant in whole units."""
        return granted_nusd // self.nusd

    def used(self, used_nusd: int) -> int:
        """Spend in whole units; a begun unit counts."""
        return -(-used_nusd // self.nusd)

    def remaining(self, granted_nusd: int, used_nusd: int) -> int:
        """What is left; below zero where more was spent than is granted now."""
        return self.granted(granted_nusd) - self.used(used_nusd)
