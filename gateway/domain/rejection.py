"""How an administrative change is declined: one closed set of problems and one exception.

Refusals of calls are `gateway/domain/errors.py`'s. Knows nothing of HTTP: status codes are
`admin_api/envelope.py`'s.
"""

from enum import StrEnum


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
    IN_USE = "in_use"
    READ_ONLY = "read_only"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 -- a code


class Rejected(Exception):
    """A change that was not made, whole. `message` names the field, the rule and the remedy."""

    def __init__(self, problem: Problem, message: str, field: str | None = None) -> None:
        self.problem = problem
        self.message = message
        self.field = field
        super().__init__(message)


def invalid(field: str, rule: str) -> Rejected:
    """The rejection of one field: `rule` completes the sentence that the field's name begins."""
    return Rejected(Problem.INVALID_FIELD, f"{field}: {rule}", field)
