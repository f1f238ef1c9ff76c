"""Counts of tokens as OpenAI tells them, such that our own meter of its dialect reads the same. Pure.

Its tokens of the input and output are wholes, as `Usage` has them. What it has no member for gets one:
`cache_write_1h_tokens`, beside the `cache_write_tokens` that it has.
"""

from typing import Any

from gateway.domain.usage import Usage


def counts_of(usage: Usage) -> dict[str, Any]:
    """The `usage` of a chat completion: https://platform.openai.com/docs/api-reference/chat/object."""
    into: dict[str, int] = {"cached_tokens": usage.cached_input_tokens}
    rare = {
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.audio_input_tokens,
        "image_tokens": usage.image_input_tokens,
    }
    into.update({name: count for name, count in rare.items() if count})
    if usage.cache_write_1h_tokens is not None:
        into["cache_write_1h_tokens"] = usage.cache_write_1h_tokens
    out: dict[str, int] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.rejected_prediction_tokens:
        out["rejected_prediction_tokens"] = usage.rejected_prediction_tokens
    if usage.audio_output_tokens is not None:
        out["audio_tokens"] = usage.audio_output_tokens
    if usage.image_output_tokens is not None:
        out["image_tokens"] = usage.image_output_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": into,
        "completion_tokens_details": out,
    }
