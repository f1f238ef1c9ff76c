"""Counts of tokens as Anthropic tells them, such that our own meter of its dialect reads the same. Pure.

Its input leaves out what was read from the cache or written to it. What it has no member for gets one: audio and
pictures in `input_tokens_details` and `output_tokens_details`, and there `rejected_prediction_tokens`.
"""

from typing import Any

from gateway.domain.usage import NOTHING, Usage


def counts_of(usage: Usage | None) -> dict[str, Any]:
    """The `usage` of a message; zeros where it is not known.

    https://docs.claude.com/en/api/messages#response-usage
    """
    usage = usage or NOTHING
    cached, written = usage.cached_input_tokens, usage.cache_write_tokens
    told: dict[str, Any] = {
        "input_tokens": usage.input_tokens - cached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
    }
    long = usage.cache_write_1h_tokens
    if long is not None:
        told["cache_creation"] = {
            "ephemeral_5m_input_tokens": written - long,
            "ephemeral_1h_input_tokens": long,
        }
    into = {"audio_tokens": usage.audio_input_tokens, "image_tokens": usage.image_input_tokens}
    if any(into.values()):
        told["input_tokens_details"] = into
    out = {
        "thinking_tokens": usage.reasoning_tokens or None,
        "audio_tokens": usage.audio_output_tokens,
        "image_tokens": usage.image_output_tokens,
        "rejected_prediction_tokens": usage.rejected_prediction_tokens or None,
    }
    details = {name: count for name, count in out.items() if count is not None}
    if details:
        # A reader of the provider's own looks for the thoughts wherever there are details.
        told["output_tokens_details"] = {"thinking_tokens": 0, **details}
    return told
