"""What a dialect has no words for, and no answer hangs on: it is passed over, and named. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import (
    Conversation,
    File,
    Image,
    Part,
    Text,
    ToolCall,
    ToolResult,
)

# Members of parts, by what a loss of them is called: in `Untold`, and in the `PARAMS` of the codecs.
_MEMBERS: Final[Mapping[type[Part], Mapping[str, str]]] = {
    Text: {"cache": "cache", "citations": "citations"},
    Image: {"cache": "cache", "detail": "detail"},
    File: {"cache": "cache", "file_name": "name"},
    ToolCall: {"cache": "cache", "thoughts": "signature"},
    ToolResult: {"cache": "cache"},
}


class Untold:
    """Of these a dialect says none.

    `cache` (breakpoints of a prompt cache), `citations` (of earlier answers), `detail` (of pictures), `file_name`,
    `output_name`, `shown` (whether thoughts are to be told), `thoughts` (what proves them beside calls of tools).
    """

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)
        self._members = {
            kind: tuple((name, members[name]) for name in names if name in members)
            for kind, members in _MEMBERS.items()
        }

    def note(self, asked: Conversation, losses: Losses) -> None:
        """Name which of them the conversation says."""
        self._note_parts(asked.system, losses)
        for turn in asked.turns:
            self._note_parts(turn.parts, losses)
        if "cache" in self._names and any(tool.cache for tool in asked.tools):
            losses.note("cache")
        if "output_name" in self._names and asked.output is not None and asked.output.name:
            losses.note("output_name")
        if (
            "shown" in self._names
            and asked.thinking is not None
            and asked.thinking.shown is not None
        ):
            losses.note("shown")

    def _note_parts(self, parts: Iterable[Part], losses: Losses) -> None:
        for part in parts:
            for name, member in self._members.get(type(part), ()):
                if getattr(part, member):
                    losses.note(name)
            if isinstance(part, ToolResult):
                self._note_parts(part.parts, losses)
