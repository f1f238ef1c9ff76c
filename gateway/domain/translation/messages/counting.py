"""How many tokens a conversation has, asked and answered in Anthropic's way. Pure.

https://docs.claude.com/en/api/messages-count-tokens
"""

from typing import Final

import msgspec

from gateway.domain.ask import decode_members
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import Conversation
from gateway.domain.translation.messages.requests_out import write_request

_COUNTED: Final = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"}
)
_ENOUGH: Final = 64_000  # a maximum, which is not sent, but has to be above what may be thought


class _Count(msgspec.Struct):
    input_tokens: int


_decode = msgspec.json.Decoder(_Count).decode


def write_count_request(conversation: Conversation, losses: Losses) -> bytes:
    """The body that asks an upstream for a conversation's tokens. Raises `Uncarried`."""
    most = conversation.max_output_tokens or _ENOUGH
    asked = msgspec.structs.replace(conversation, max_output_tokens=most)
    members = decode_members(write_request(asked, losses))
    return msgspec.json.encode({name: members[name] for name in members if name in _COUNTED})


def read_count(body: bytes) -> int:
    """The tokens that an upstream has counted. Raises `BadAnswer`."""
    try:
        return _decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadAnswer("sent what cannot be read as a count of tokens") from None


def write_count(total: int) -> bytes:
    """A count for a caller."""
    return b'{"input_tokens":%d}' % total
