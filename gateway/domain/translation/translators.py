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
    "chat_completions": (Talk, chat),
    "responses": (Talk, responses),
    "messages": (Talk, messages),
    "generate_content": (Talk, contents),
    "stream_generate_content": (Talk, contents),
    "embeddings": (Embedding, chat),
    "embed_content": (Embedding, contents),
}
_COUNTS: Final[dict[Dialect, Codec]] = {"anthropic": messages, "gemini": contents}
_UPSTREAMS: Final[dict[Dialect, Codec]] = {
    "openai": chat,
    "anthropic": messages,
    "gemini": contents,
}


def translate(asked: Asked) -> Translation:
    """The call as its upstream has it, and the way back. Raises `Untranslatable`."""
    route, upstream = asked.route, _UPSTREAMS[asked.dialect]
    if route.name == "count_tokens":
        return Count(asked, _COUNTS[route.dialect], upstream)
    kind, caller = _KINDS[route.name]
    if kind is Talk and asked.dialect == "openai" and asked.form == "responses":
        upstream = responses
    return kind(asked, caller, upstream)
