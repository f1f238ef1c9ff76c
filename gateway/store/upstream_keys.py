"""Providers' keys at rest: sealed with the operator's key, for the upstream whose they are. Never shown again."""

from collections.abc import Sequence

import orjson

from gateway.catalog_entries import KeysUnreadable, OpenKeys, Row
from gateway.store.seal import Seal, Unsealable

_SHOWN_CHARACTERS = 4
_SHOWN_FROM = 16  # of a shorter key four characters would be too much of it


def seal_keys(seal: Seal, name: str, keys: Sequence[str]) -> bytes | None:
    """The keys of an upstream, sealed for it; None where there are none."""
    return seal.close(orjson.dumps(list(keys)), owner_of(name)) if keys else None


def hint_of(key: str) -> str:
    """What is shown of a key: its last four characters."""
    return "…" + (key[-_SHOWN_CHARACTERS:] if len(key) >= _SHOWN_FROM else "")


def opening(seal: Seal | None) -> OpenKeys:
    """Opens the keys of upstreams with `seal`; None: this process was not given what they are sealed with."""

    def open_keys(row: Row) -> tuple[str, ...]:
        if row.sealed_keys is None:
            return ()
        if seal is None:
            raise KeysUnreadable("its keys are sealed, and TOLLHOUSE_KEK is not given here")
        try:
            return tuple(orjson.loads(seal.open(row.sealed_keys, owner_of(row.name))))
        except Unsealable as error:
            raise KeysUnreadable(
                f"its keys do not open ({error}): give TOLLHOUSE_KEK_PREVIOUS, or set them anew"
            ) from None

    return open_keys


def looking(seal: Seal) -> OpenKeys:
    """Only finds out whether the keys open: for a process that calls no upstream."""
    open_keys = opening(seal)

    def look(row: Row) -> tuple[str, ...]:
        open_keys(row)
        return ()

    return look


def owner_of(name: str) -> bytes:
    """Whose an upstream's keys are."""
    return f"upstream {name}".encode()
