"""How much Gemini shall think first, and back. Pure.

Models before Gemini 3 take a budget of tokens, later ones a level; both at once are refused:
https://ai.google.dev/gemini-api/docs/thinking
"""

import msgspec

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import Thinking
from gateway.domain.translation.efforts import budget_of, leave_out_effort

_LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_AS_IT_SEES_FIT = -1
_BEFORE_LEVELS = ("gemini-1", "gemini-2", "gemma", "learnlm")


class ThinkingConfig(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """As it stands in a body's `generationConfig`."""

    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


def is_before_levels(model: str) -> bool:
    """Whether a model of this name is older than Gemini 3."""
    return model.rpartition("/")[2].startswith(_BEFORE_LEVELS)


def write_thinking(thinking: Thinking, model: str, losses: Losses) -> dict[str, object]:
    """The `thinkingConfig` for this model; empty where it does so anyway. Raises `Uncarried`.

    Where both a budget and an effort are given, the budget says it more exactly.
    """
    config: dict[str, object] = {}
    leave_out_effort(thinking, losses)
    if not thinking.is_on:
        config["thinkingBudget"] = 0
    elif thinking.budget_tokens is not None:
        config["thinkingBudget"] = thinking.budget_tokens
    elif thinking.effort:
        if is_before_levels(model):
            config["thinkingBudget"] = budget_of(thinking.effort)
        elif thinking.effort in _LEVELS:
            config["thinkingLevel"] = thinking.effort.upper()
        else:
            losses.leave_out("thinking", f"Gemini knows no effort {thinking.effort!r}")
    elif is_before_levels(model):
        config["thinkingBudget"] = _AS_IT_SEES_FIT
    if thinking.shown is not None:
        config["includeThoughts"] = thinking.shown
    return config


def read_thinking(config: ThinkingConfig | None) -> Thinking | None:
    """What a caller's `thinkingConfig` asks for; None where it asks for nothing."""
    if config is None:
        return None
    budget, shown = config.thinking_budget, config.include_thoughts
    level = (config.thinking_level or "").lower()
    effort = "" if level == "thinking_level_unspecified" else level
    if budget == 0:
        return Thinking(is_on=False, effort=effort, shown=shown)
    if budget is None and not effort and not shown:
        return None
    return Thinking(
        budget_tokens=None if budget == _AS_IT_SEES_FIT else budget, effort=effort, shown=shown
    )
