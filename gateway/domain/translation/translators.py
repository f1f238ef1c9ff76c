"""Which calls can be translated for which upstreams, and how one is. Pure."""

from typing import Final

from gateway.domain.catalog import Dialect
from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.codec import Codec
from gateway.domain.translation.counts import Count
from gateway.domain.translation.embeddings import Embedding
from gateway.domain.translation.one_call import Asked, Translation
from gateway.domain.translation.talks import Talk

_KINDS: Final[dict[str, tuple[type[Translation], Codec]]] = {
    "chat_completions": (Talk, chat.codec),
    "responses": (Talk, responses.codec),
    "messages": (Talk, messages.codec),
    "generate_content": (Talk, contents.codec),
    "stream_generate_content": (Talk, contents.codec),
    "embeddings": (Embedding, chat.codec),
    "embed_content": (Embedding, contents.codec),
}
_COUNTS: Final[dict[Dialect, Codec]] = {"anthropic": messages.codec, "gemini": contents.codec}
_UPSTREAMS: Final[dict[Dialect, Codec]] = {
    "openai": chat.codec,
    "anthropic": messages.codec,
    "gemini": contents.codec,
}


def translate(asked: Asked) -> Translation:
    """The call as its upstream has it, and the way back. Raises `Untranslatable`."""
    route, upstream = asked.route, _UPSTREAMS[asked.dialect]
    if route.name == "count_tokens":
        return Count(asked, _COUNTS[route.dialect], upstream)
    kind, caller = _KINDS[route.name]
    if kind is Talk and asked.dialect == "openai" and asked.form == "responses":
        upstream = responses.codec
    return kind(asked, caller, upstream)
