"""Passages: calls below `/v1` that are passed on without being read for tokens, and what each kind may cost. Pure.

One rule serves whatever a provider offers: the first rule that fits decides, the operator's before ours. What fits none
is for uncapped tokens only: a path that nobody has heard of may cost anything.
Paths: https://platform.openai.com/docs/api-reference
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple


class Metering(StrEnum):
    """What a passage costs: nothing, a price for each call, what cannot be bounded here, or it is not for callers."""

    FREE = "free"
    CALL = "call"
    UNCAPPED = "uncapped"
    NEVER = "never"


class Rule(NamedTuple):
    """Paths (`*` is one segment, `**` at the end any number) and methods (none: all), and their metering.

    `request_nusd` is the price of a call, where that is what is charged.
    """

    path: str
    methods: frozenset[str]
    metering: Metering
    request_nusd: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether a call is one of these."""
        if self.methods and method not in self.methods:
            return False
        return _pattern(self.path).fullmatch(path) is not None


@lru_cache(maxsize=1024)
def _pattern(path: str) -> re.Pattern[str]:
    escaped = re.escape(path)
    if escaped.endswith(r"/\*\*"):
        escaped = escaped[: -len(r"/\*\*")] + r"(/.*)?"
    return re.compile(escaped.replace(r"\*", "[^/]+"))


_ANY: frozenset[str] = frozenset()
_READ_OR_DELETE = frozenset({"GET", "DELETE"})
_POST = frozenset({"POST"})


def _rules(metering: Metering, methods: frozenset[str], *paths: str) -> tuple[Rule, ...]:
    return tuple(Rule(f"/v1{path}", methods, metering) for path in paths)


RULES = (
    # The provider's account is the operator's: its people, keys and money. Sessions and client secrets open the
    # provider without us; a permission on a model opens it to others.
    *_rules(
        Metering.NEVER,
        _ANY,
        "/organization/**",
        "/projects/**",
        "/webhook_endpoints/**",
        "/webhook_event_types",
        "/vaults/**",
        "/safety/**",
        "/chatkit/**",
        "/realtime/**",
        "/live/**",
        "/fine_tuning/checkpoints/**",
    ),
    *_rules(Metering.NEVER, frozenset({"DELETE"}), "/models/**"),
    # Each search has a price of its own.
    *_rules(Metering.UNCAPPED, _ANY, "/vector_stores/*/search"),
    *_rules(
        Metering.FREE,
        _READ_OR_DELETE,
        "/files/**",
        "/uploads/**",
        "/batches/**",
        "/responses/*/**",
        "/conversations/**",
        "/chat/completions/**",
        "/threads/**",
        "/assistants/**",
        "/evals/**",
        "/containers/**",
        "/vector_stores/**",
        "/fine_tuning/**",
        "/videos/**",
        "/skills/**",
        "/agents/**",
        "/audio/voices/**",
        "/messages/batches/**",
    ),
    *_rules(
        Metering.FREE,
        _POST,
        "/files",
        "/uploads/**",
        "/moderations",
        "/responses/input_tokens",
        "/responses/*/cancel",
        "/messages/batches/*/cancel",
        "/batches/*/cancel",
        "/fine_tuning/jobs/*/cancel",
        "/fine_tuning/jobs/*/pause",
        "/vector_stores/*/file_batches/*/cancel",
        "/evals/*/runs/*/cancel",
        "/threads/*/runs/*/cancel",
        "/conversations/**",
        "/chat/completions/*",
        "/threads",
        "/threads/*",
        "/threads/*/messages/**",
        "/assistants/**",
        "/evals",
        "/evals/*",
    ),
)
_OTHERWISE = Rule("/v1/**", _ANY, Metering.UNCAPPED)

_NAMING_A_MODEL = re.compile(r"/v1/(audio|images|videos)/.*|/v1/videos")


def rule_of(method: str, path: str, own: Iterable[Rule] = ()) -> Rule:
    """The rule for a call: the first of the operator's `own` that fits, or else of ours."""
    for rule in (*own, *RULES):
        if rule.fits(method, path):
            return rule
    return _OTHERWISE


def names_a_model(path: str) -> bool:
    """Whether a form of this path has a field that names a model: it has to be looked into before it is passed on."""
    return _NAMING_A_MODEL.fullmatch(path) is not None


# Collections and actions; whatever else stands in a path may be an id.
_WORDS = frozenset(
    """
    agents artifacts assistants audio automations batches cancel characters chat checkpoints complete completions
    containers content conversations decisions edits environments evals events extensions file_batches files
    fine_tuning generations graders images input_items input_tokens invocations items jobs messages moderations
    output_items parts pause remix responses resume run runs search sessions skills speech steps subagents
    submit_tool_outputs templates threads traces transcriptions translations turns uploads validate variations
    vector_stores versions videos voices
    """.split()  # noqa: SIM905 -- a list of ninety quoted words is no easier to read
)
_MOST_IDS = 8
OTHER = "other"
"""The name of a path that has none of these words."""


def name_of(path: str) -> str:
    """What the ledger calls a passage: its path without `/v1` and ids."""
    return "/".join(word for word in path.split("/")[2:] if word in _WORDS)[:64] or OTHER


def ids_in(path: str) -> tuple[str, ...]:
    """The parts of a path that may be ids of objects."""
    ids = [word for word in path.split("/")[2:] if word and word not in _WORDS]
    return tuple(ids[:_MOST_IDS])
