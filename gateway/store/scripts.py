"""The Lua scripts of the quota store, as text and as the digests they are called by.

A script is one file of `lua/`; a line `--include name` stands for `lua/include/name.lua`. Knows
nothing of what the scripts do: each opens with its own contract.
"""

import functools
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

NAMES: Final = (
    "reserve",
    "extend",
    "settle",
    "confirm",
    "survey",
    "load",
    "epoch",
    "announce",
    "restate",
    "overdue",
)
_INCLUDE: Final = "--include "


@dataclass(frozen=True, slots=True)
class Script:
    """One script: its whole text, and the SHA-1 (hex) that EVALSHA names it by."""

    name: str
    text: bytes
    sha: bytes


Scripts = dict[str, Script]


def load_scripts(*, clock: str | None = None) -> Scripts:
    """Every script by its name.

    `clock` is Lua text to put in the place of `include/clock.lua`, so that a test holds the time.
    There is no other way to tell a script what time it is.
    """
    return {name: _script(name, clock) for name in NAMES}


@functools.cache
def _script(name: str, clock: str | None) -> Script:
    lines: list[str] = []
    for line in _read(f"{name}.lua").splitlines():
        stripped = line.strip()
        if not stripped.startswith(_INCLUDE):
            lines.append(line)
            continue
        included = stripped.removeprefix(_INCLUDE)
        substitute = clock if included == "clock" else None
        lines.append(substitute if substitute is not None else _read(f"include/{included}.lua"))
    text = "\n".join(lines).encode()
    return Script(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def _read(path: str) -> str:
    return files("gateway.store").joinpath("lua", path).read_text(encoding="utf-8")
