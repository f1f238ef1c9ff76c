"""What was used, in Gemini's words and back. Pure.

`gateway.domain.dialects.gemini` reads what stands here: whoever meters an answer that was written finds the same usage.
"""

from gateway.domain.dialects.gemini import UsageMetadata, usage_of
from gateway.domain.dialects.meter import BadUsage
from gateway.domain.usage import Usage


def read_usage(found: UsageMetadata | None) -> Usage | None:
    """The usage that an answer tells; None where it tells none, or none that can be believed."""
    if found is None:
        return None
    try:
        return usage_of(found)
    except BadUsage:
        return None


def write_usage(usage: Usage) -> dict[str, object]:
    """The `usageMetadata` of an answer. https://ai.google.dev/api/generate-content#UsageMetadata."""
    counts: dict[str, object] = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    parts = {
        "cachedContentTokenCount": usage.cached_input_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cacheWriteTokenCount": usage.cache_write_tokens,
        "rejectedPredictionTokenCount": usage.rejected_prediction_tokens,
    }
    counts.update((name, count) for name, count in parts.items() if count)
    if usage.cache_write_1h_tokens is not None:
        counts["cacheWrite1hTokenCount"] = usage.cache_write_1h_tokens
    into = _details(
        usage.input_tokens, usage.audio_input_tokens or None, usage.image_input_tokens or None
    )
    out = _details(
        usage.output_tokens - usage.reasoning_tokens,
        usage.audio_output_tokens,
        usage.image_output_tokens,
    )
    if into:
        counts["promptTokensDetails"] = into
    if out:
        counts["candidatesTokensDetails"] = out
    return counts


def _details(total: int, audio: int | None, images: int | None) -> list[dict[str, object]]:
    """The counts by modality; none where nothing but text is told."""
    if audio is None and images is None:
        return []
    counts = {"TEXT": total - (audio or 0) - (images or 0), "AUDIO": audio, "IMAGE": images}
    return [
        {"modality": modality, "tokenCount": count}
        for modality, count in counts.items()
        if count is not None
    ]
