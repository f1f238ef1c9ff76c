"""How Anthropic's models are told to draw tokens. Pure."""

from typing import Any, Final

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import Conversation
from gateway.domain.translation.messages.versions import (
    FIRST_OF_EITHER,
    FIRST_WITHOUT_SAMPLING,
    version_of,
)

# https://docs.claude.com/en/api/messages#body-temperature
_HOTTEST: Final = 1.0
# https://docs.claude.com/en/docs/build-with-claude/extended-thinking#feature-compatibility
_LEAST_TOP_P_OF_THOUGHT: Final = 0.95


def sample(body: dict[str, Any], asked: Conversation, losses: Losses, *, thinks: bool) -> None:
    """Write the settings into a body; `thinks`: it asks for thoughts, too. A temperature of 1 is as good as unsaid."""
    version = version_of(asked.model)
    told = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k}
    if told["temperature"] == _HOTTEST:
        told["temperature"] = None
    for member, value in told.items():
        if value is None:
            continue
        if version is not None and version >= FIRST_WITHOUT_SAMPLING:
            losses.leave_out(member, "Anthropic's models since 4.7 take none")
        elif thinks and not (member == "top_p" and value >= _LEAST_TOP_P_OF_THOUGHT):
            losses.leave_out(member, "Anthropic's models take none but the usual while they think")
        elif member == "temperature" and value > _HOTTEST:
            losses.leave_out(member, f"Anthropic's models take at most {_HOTTEST:g}")
        elif member == "top_p" and "temperature" in body and _takes_one(version):
            losses.leave_out(member, "Anthropic's models since 4.1 take a temperature or this")
        else:
            body[member] = value


def _takes_one(version: tuple[int, int] | None) -> bool:
    return version is not None and version >= FIRST_OF_EITHER
