"""Counts of tokens as the Responses API tells them, such that our own meter of OpenAI's dialect reads the same. Pure.

What it has no member for gets one, by the name that OpenAI has for it elsewhere, or beside `cache_write_tokens`.
https://platform.openai.com/docs/api-reference/responses/object#responses/object-usage
"""

from gateway.domain.usage import Usage


def counts_of(usage: Usage) -> dict[str, object]:
    """The `usage` of a response."""
    into = {
        "cached_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.audio_input_tokens or None,
        "image_tokens": usage.image_input_tokens or None,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
    }
    out = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.audio_output_tokens,
        "image_tokens": usage.image_output_tokens,
        "rejected_prediction_tokens": usage.rejected_prediction_tokens or None,
    }
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": _told(into),
        "output_tokens": usage.output_tokens,
        "output_tokens_details": _told(out),
        "total_tokens": usage.total_tokens,
    }


def _told(counts: dict[str, int | None]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count is not None}
