"""A parser under fire: what it promises of any bytes, the inputs that are known to be nasty, and how more are made.

Three ways lead to the same promise: what is known and a few more in `make test` (test_fuzz.py), many more by
`make security` (at_length.py), and those that coverage suggests where atheris is installed (guided.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.draws import Draws

CORPUS = Path(__file__).parent / "corpus"
_MOST_BYTES = 20_000
_MOST_DRAWN = 40
_REPLACED = (0, 0, 0, 1, 2, 9, 40)


@dataclass(frozen=True, slots=True)
class Target:
    """`keeps` raises where the promise is broken, or lets out what the parser may not raise.

    `words` are what inputs are made of beside pieces of known ones.
    """

    name: str
    keeps: Callable[[bytes], None]
    words: tuple[bytes, ...]

    @property
    def corpus(self) -> Path:
        """Its known inputs, one in a file. What breaks the promise once stays among them."""
        return CORPUS / self.name

    def known(self) -> list[bytes]:
        """Those, and nothing at all."""
        return [b"", *(path.read_bytes() for path in sorted(self.corpus.iterdir()))]

    def inputs(self) -> st.SearchStrategy[bytes]:
        """Known inputs with a few places changed. One draw each, for drawing is what takes the time."""
        known, words = self.known(), self.words
        return st.binary(max_size=_MOST_DRAWN).map(lambda drawn: _changed(known, words, drawn))


def _changed(known: Sequence[bytes], words: Sequence[bytes], drawn: bytes) -> bytes:
    """One of the known inputs, changed as the drawn bytes say."""
    draws = Draws(drawn)
    data = bytearray(draws.one_of(known))
    while not draws.is_over:
        at = draws.number(len(data) + 1)
        data[at : at + draws.one_of(_REPLACED)] = _piece(known, words, draws)
    return bytes(data[:_MOST_BYTES])


def _piece(known: Sequence[bytes], words: Sequence[bytes], draws: Draws) -> bytes:
    """A word, a few bytes, or a part of another known input."""
    kind = draws.byte() % 4
    if kind < 2:
        return draws.one_of(words)
    if kind == 2:
        return draws.some(1 + draws.byte() % 4)
    data = draws.one_of(known)
    start = draws.number(len(data) + 1)
    return data[start : start + draws.one_of((1, 7, 30, 200))]
