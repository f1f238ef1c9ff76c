"""How much thought an effort stands for, where one dialect tells words and the other tokens. Pure.

The tokens are those that Google has in its own translation of OpenAI's dialect:
https://ai.google.dev/gemini-api/docs/openai#thinking
"""

from typing import Final

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import Thinking

_BUDGETS: Final = {
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}


def leave_out_effort(thinking: Thinking, losses: Losses) -> None:
    """Of thoughts that are off: no provider but Anthropic knows an effort of anything else. Raises `Uncarried`."""
    if not thinking.is_on and thinking.effort:
        losses.leave_out("effort", "it is one of thoughts there, and there are to be none")


def budget_of(effort: str) -> int:
    """The tokens that an effort stands for; of one that is not known, those of `medium`."""
    return _BUDGETS.get(effort, _BUDGETS["medium"])


def effort_of(budget_tokens: int) -> str:
    """The least effort that may think as much."""
    for effort in ("low", "medium", "high"):
        if budget_tokens <= _BUDGETS[effort]:
            return effort
    return "xhigh"
