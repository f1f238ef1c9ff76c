"""How an administrative change is declined: one closed set of problems, the mistakes that were found, one exception.

Refusals of calls are `gateway/domain/errors.py`'s. Knows nothing of HTTP: status codes are
`admin_api/envelope.py`'s.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.rules import Param, Rule

_MAX_SHOWN = 64
_MAX_EXACT = 2**53  # JSON's readers hold whole numbers to here
_SECRET = re.compile(r"\b(sk-|tht_|whsec_)\S{5,}")


class Problem(StrEnum):
    """What is wrong. The value is the `code` that callers see."""

    INVALID_FIELD = "invalid_field"
    NOT_FOUND = "not_found"
    GROUP_NOT_ALLOWED = "group_not_allowed"
    VERSION_MISMATCH = "version_mismatch"
    TOKEN_LIMIT_REACHED = "token_limit_reached"  # noqa: S105 -- a code
    TOO_MANY_SECRETS = "too_many_secrets"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    NAME_TAKEN = "name_taken"
    EMAIL_TAKEN = "email_taken"
    ROLE_NOT_ALLOWED = "role_not_allowed"
    LAST_OWNER = "last_owner"
    IN_USE = "in_use"
    READ_ONLY = "read_only"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 -- a code
    MEMBER_ROLE_REQUIRED = "member_role_required"
    ALREADY_MEMBER = "already_member"
    REFERENCE_REUSED = "reference_reused"
    CODE_NOT_USABLE = "code_not_usable"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One rule that is broken: at which field (None: by the call as a whole), and what its sentence is filled with."""

    field: str | None
    rule: Rule
    params: Mapping[str, Param]

    @property
    def message(self) -> str:
        """Field, rule and remedy in English."""
        sentence = self.rule.sentence(self.params)
        begun = (
            sentence[0].upper() + sentence[1:]
            if self.field is None
            else f"{self.field}: {sentence}"
        )
        return begun if begun.endswith("?") else f"{begun}."


class Rejected(Exception):
    """A change that was not made, whole, and every mistake in it that was found."""

    def __init__(self, problem: Problem, *mistakes: Mistake) -> None:
        self.problem = problem
        self.mistakes = mistakes
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """All mistakes in English."""
        return " ".join(each.message for each in self.mistakes)


class BrokenRule(ValueError):
    """A value breaks a rule, and whoever reads the field knows its name."""

    def __init__(self, rule: Rule, **params: Param) -> None:
        self.rule = rule
        self.params = _shown(params)
        super().__init__(rule.sentence(self.params))

    def at(self, field: str) -> Mistake:
        """The mistake, with the field."""
        return Mistake(shown(field), self.rule, self.params)


def mistake(field: str | None, rule: Rule, **params: Param) -> Mistake:
    """A mistake as it may be shown."""
    return Mistake(None if field is None else shown(field), rule, _shown(params))


def rejected(problem: Problem, field: str | None, rule: Rule, **params: Param) -> Rejected:
    """The rejection of a change for one mistake."""
    return Rejected(problem, mistake(field, rule, **params))


def invalid(field: str, rule: Rule, **params: Param) -> Rejected:
    """The rejection of one field."""
    return rejected(Problem.INVALID_FIELD, field, rule, **params)


def shown(text: str) -> str:
    """What a caller sent, as it may be repeated: short, printable, and without what looks like a secret."""
    short = text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
    printable = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in short)
    return _SECRET.sub(r"\1…", printable)


def _shown(params: Mapping[str, Param]) -> dict[str, Param]:
    return {name: _one_shown(value) for name, value in params.items()}


def _one_shown(value: Param) -> Param:
    if isinstance(value, str):
        return shown(value)
    return shown(str(value)) if isinstance(value, int) and abs(value) >= _MAX_EXACT else value
