"""How Anthropic's models are told to think. Pure.

Those before 4.6 are given tokens, those from 4.7 on an effort, and 4.6 takes either:
https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking. One whose version nobody knows is told what the
caller said, in the newer way where that leaves it open.
"""

from typing import Any

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import Thinking
from gateway.domain.translation.efforts import budget_of, effort_of
from gateway.domain.translation.messages.versions import (
    FIRST_OF_EFFORTS,
    FIRST_WITHOUT_BUDGETS,
    version_of,
)

# https://docs.claude.com/en/docs/build-with-claude/extended-thinking
_LEAST_BUDGET = 1_024
# https://docs.claude.com/en/docs/build-with-claude/effort
_EFFORTS = {"minimal": "low"}

Told = tuple[dict[str, Any], str]
"""The member `thinking`, and the effort of `output_config`; either may be empty."""


def thinking_of(wanted: Thinking, model: str, most_tokens: int, losses: Losses) -> Told:
    """What a model is told, that may write `most_tokens` in all."""
    if not wanted.is_on:
        return {"type": "disabled"}, _EFFORTS.get(wanted.effort, wanted.effort)
    version = version_of(model)
    budget = wanted.budget_tokens
    if version is not None and version < FIRST_OF_EFFORTS:
        if budget is None:
            return _budget_for(wanted, most_tokens, losses), ""
    elif budget is None:
        return _shown({"type": "adaptive"}, wanted), _EFFORTS.get(wanted.effort, wanted.effort)
    elif version is not None and version >= FIRST_WITHOUT_BUDGETS:
        return _shown({"type": "adaptive"}, wanted), wanted.effort or effort_of(budget)
    if not _LEAST_BUDGET <= budget < most_tokens:
        why = f"Anthropic's models think with {_LEAST_BUDGET} tokens at least, within the maximum"
        losses.leave_out("thinking", why)
        return {}, ""
    return _shown({"type": "enabled", "budget_tokens": budget}, wanted), wanted.effort


def _budget_for(wanted: Thinking, most_tokens: int, losses: Losses) -> dict[str, Any]:
    """The tokens that an effort stands for, of which an answer must have a quarter left."""
    budget = min(budget_of(wanted.effort), max(_LEAST_BUDGET, most_tokens * 3 // 4))
    if budget >= most_tokens:
        why = f"the maximum leaves no room for {_LEAST_BUDGET} tokens of it"
        losses.leave_out("thinking", why)
        return {}
    return _shown({"type": "enabled", "budget_tokens": budget}, wanted)


def _shown(told: dict[str, Any], wanted: Thinking) -> dict[str, Any]:
    if wanted.shown is not None:
        told["display"] = "summarized" if wanted.shown else "omitted"
    return told
