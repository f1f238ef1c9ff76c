"""The figures that the project holds itself to, and the table of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_NAME, _CELL = 66, 14


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, with what it must be and what is aimed at: at most that, or at least."""

    name: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Which of the two is met."""
        if self._meets(self.aim):
            return "aim met"
        if self._meets(self.must):
            return "met"
        return "NOT MET" if self.must is not None else ""

    def _meets(self, bound: float | None) -> bool:
        if bound is None:
            return False
        return self.value >= bound if self.at_least else self.value <= bound


@dataclass(frozen=True, slots=True)
class Found:
    """What one part of the bench found: its figures, and everything that they were made of."""

    figures: Sequence[Figure]
    detail: dict[str, Any]

    @property
    def document(self) -> dict[str, Any]:
        """For the file."""
        figures = [asdict(figure) | {"verdict": figure.verdict} for figure in self.figures]
        return {"figures": figures, **self.detail}


def show(figures: Sequence[Figure]) -> None:
    """Print the table."""
    print(f"\n{'':{_NAME}}{'here':>{_CELL}}{'must':>{_CELL}}{'aim':>{_CELL}}")
    for each in figures:
        sign = "≥" if each.at_least else "≤"
        bounds = [
            "" if bound is None else f"{sign} {bound:g} {each.unit}"
            for bound in (each.must, each.aim)
        ]
        here = f"{each.value:.2f} {each.unit}"
        print(
            f"{each.name:{_NAME}}{here:>{_CELL}}{bounds[0]:>{_CELL}}{bounds[1]:>{_CELL}}  {each.verdict}"
        )
