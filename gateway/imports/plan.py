"""What becomes of a row: a token to be made, or the reasons why none is.

A restriction that cannot be carried would make the token looser than its key was: the row is left
out, unless the operator says that it may. What else stays behind is told as a remark.
"""

import contextlib
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import orjson

from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.edit import TokenDraft
from gateway.domain.key import Foreign, foreign, is_own, is_sound
from gateway.domain.limits import MAX_EXACT, Limit
from gateway.domain.network import parse_blocks
from gateway.domain.rejection import BrokenRule
from gateway.imports.cells import BadCell, Row, invalid

MAX_CONCURRENCY = 1_000_000
_MAX_NAME_CHARACTERS = 100
_MAX_KEY_CHARACTERS = 512
_GUESSABLE = 16
_MAX_MODELS = 1000
_MAX_MODEL_CHARACTERS = 200
_MAX_METADATA_BYTES = 16_384
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_SENDABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the operator decides for all rows.

    `groups` are those that there are; `group_map` says what theirs are called here; `loosen`: what
    restricts a key and cannot be carried is left behind.
    """

    now: datetime
    groups: frozenset[str]
    group_map: Mapping[str, str] = field(default_factory=dict)
    units_per_usd: int = 500_000
    without_group: bool = False
    loosen: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token to be made. `row` says which row it comes from, `remarks` what of it stays behind."""

    row: str
    secret: Foreign
    draft: TokenDraft
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Left:
    """A row of which no token is made, and why."""

    row: str
    name: str
    reasons: tuple[str, ...]


Reader = Callable[[Row, "Findings"], tuple[Foreign, TokenDraft]]


@dataclass(slots=True)
class Findings:
    """What was found about a row on the way."""

    choices: Choices
    remarks: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def remark(self, text: str) -> None:
        """Something stays behind, and the token is none the looser for it."""
        self.remarks.append(text)

    def lose(self, text: str) -> None:
        """A restriction stays behind."""
        (self.remarks if self.choices.loosen else self.reasons).append(text)

    def secret(self, column: str, key: str) -> Foreign:
        """What is kept of a key. Raises `BadCell` for one that no caller could use here."""
        if not key:
            raise invalid(column, "is empty.")
        if len(key) > _MAX_KEY_CHARACTERS or not _SENDABLE.fullmatch(key):
            raise invalid(
                column,
                f"no header can carry it: it must be 1 to {_MAX_KEY_CHARACTERS} visible ASCII characters.",
            )
        if is_own(key) and not is_sound(key):
            raise invalid(
                column,
                "has the form of a key of this gateway but not its checksum, so it would be refused "
                "without a look; make a new one.",
            )
        if len(key) < _GUESSABLE:
            self.remark(
                f"{column}: has {len(key)} characters only, and may be guessed; rotate it soon"
            )
        return foreign(key)

    def group(self, column: str, theirs: str) -> str | None:
        """The group that theirs is here; None where there is none, or it may stay behind."""
        if not theirs:
            return None
        ours = self.choices.group_map.get(theirs, theirs)
        if ours in self.choices.groups:
            return ours
        rule = f"{column}: there is no group {ours!r} here (--group-map names another)"
        if self.choices.without_group:
            self.remark(f"{rule}; the group of the token's user applies")
        else:
            self.reasons.append(f"{rule}, and --without-group was not given")
        return None

    def grant(self, column: str, nusd: int) -> int | None:
        """A grant that can be kept; what is below nothing is nothing."""
        if nusd >= MAX_EXACT:
            self.lose(
                f"{column}: ${nusd // NUSD_PER_USD:,} is more than a grant may be ($4.5 million)"
            )
            return None
        return max(nusd, 0)

    def blocks(self, column: str, lines: Sequence[str]) -> tuple[str, ...]:
        """Those lines that are addresses or blocks; the others allow nobody anyway."""
        kept = []
        for line in lines:
            try:
                kept.append(_block(line))
            except BrokenRule:
                self.remark(f"{column}: {line[:60]!r} is neither an address nor a CIDR block")
        if lines and not kept:
            self.reasons.append(f"{column}: no line is an address, so nobody could use this key")
        return tuple(dict.fromkeys(kept))

    def models(self, column: str, names: Sequence[str]) -> tuple[str, ...]:
        """Names that a list may hold, each once. Raises `BadCell`."""
        listed = tuple(dict.fromkeys(stripped for name in names if (stripped := name.strip())))
        if len(listed) > _MAX_MODELS:
            raise invalid(column, f"may name {_MAX_MODELS} models, it names {len(listed)}.")
        for name in listed:
            if len(name) > _MAX_MODEL_CHARACTERS or _CONTROL.search(name):
                raise invalid(column, f"{name[:40]!r} is no model's name.")
        return self._whole(column, listed)

    def _whole(self, column: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those that are no patterns; these would match nothing here, so nothing is lost but a list of them alone."""
        whole = tuple(name for name in names if "*" not in name)
        if names and not whole:
            self.reasons.append(f"{column}: lists have whole names here, and it has patterns alone")
        elif len(whole) < len(names):
            self.remark(f"{column}: patterns are left out; lists have whole names here")
        return whole

    def name(self, text: str, otherwise: str) -> str:
        """A name that a token may have."""
        name = _CONTROL.sub(" ", text).strip()[:_MAX_NAME_CHARACTERS].strip()
        if name != text.strip():
            self.remark(f"name: {text[:60]!r} became {name[:60]!r}")
        return name or otherwise


def read_row(row: Row, label: str, name: str, reader: Reader, choices: Choices) -> Candidate | Left:
    """What becomes of a row by its reader."""
    findings = Findings(choices)
    label, name = _CONTROL.sub(" ", label), _CONTROL.sub(" ", name)
    try:
        secret, draft = reader(row, findings)
    except BadCell as error:
        return Left(label, name, (*findings.reasons, str(error)))
    if findings.reasons:
        return Left(label, name, tuple(findings.reasons))
    return Candidate(label, secret, draft, tuple(findings.remarks))


def without_repeats(found: Sequence[Candidate | Left]) -> list[Candidate | Left]:
    """The same, where a key that comes a second time is left out."""
    seen: dict[bytes, str] = {}
    unique: list[Candidate | Left] = []
    for each in found:
        if isinstance(each, Candidate):
            first = seen.setdefault(each.secret.sha256, each.row)
            if first != each.row:
                reason = f"key: it is the key of {first}, too"
                unique.append(Left(each.row, each.draft.name, (reason,)))
                continue
        unique.append(each)
    return unique


def nusd_left(granted: Decimal, spent: Decimal) -> int:
    """What is left of dollars in nano-dollars: the grant rounded down, the spend rounded up."""
    return _whole(granted, ROUND_FLOOR) - _whole(spent, ROUND_CEILING)


def nusd_of_units(units: int, units_per_usd: int) -> int:
    """Quota units in nano-dollars; a begun nano-dollar is not counted."""
    return units * NUSD_PER_USD // units_per_usd


def with_origin(draft: TokenDraft, origin: Mapping[str, Any]) -> TokenDraft:
    """The draft whose metadata tells where it comes from. Raises `BadCell` for what cannot be stored."""
    told = {name: value for name, value in origin.items() if value is not None and value != ""}
    try:
        # Metadata is nobody's money: its numbers are what JSON calls numbers.
        stored = orjson.dumps({**draft.metadata, "imported": told}, default=float)
    except TypeError:  # half a surrogate pair, nested too deeply, an integer beyond 64 bits
        stored = b"\\u0000"
    if b"\\u0000" in stored or len(stored) > _MAX_METADATA_BYTES:
        raise invalid(
            "metadata",
            f"must be {_MAX_METADATA_BYTES:,} bytes of JSON at most, without U+0000 and half characters.",
        )
    return replace(draft, metadata=orjson.loads(stored))


def merged(limits: Sequence[Limit]) -> tuple[Limit, ...] | None:
    """Limits of which each counts something else: of two that count the same the lower stays."""
    by_id: dict[str, Limit] = {}
    for limit in limits:
        other = by_id.get(limit.id)
        by_id[limit.id] = limit if other is None or limit.limit < other.limit else other
    return tuple(by_id.values()) or None


def _whole(usd: Decimal, rounding: str) -> int:
    return int((usd * NUSD_PER_USD).to_integral_value(rounding=rounding))


def _block(line: str) -> str:
    """A block as others write it: with host bits, too, which say nothing."""
    if "/" in line:
        with contextlib.suppress(ValueError):
            line = str(ipaddress.ip_network(line, strict=False))
    return parse_blocks([line])[0]
