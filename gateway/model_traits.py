"""What providers document of their models beside prices, by the provider's own name for a model. Pure."""

import re

# Reasoning is billed and not sent: https://platform.openai.com/docs/guides/reasoning (o-series, GPT-5 and later),
# https://ai.google.dev/gemini-api/docs/thinking (2.5 and later), and by those of Anthropic's models that think unasked:
# https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking (none up to 4; of later ones it is assumed).
_HIDING = re.compile(
    r"(.*/)?(o\d|gpt-[5-9]|gemini-(2\.5|[3-9])|claude-(?!instant|v?[123]|[a-z]+-[1-4]))"
)

_IMAGE_MAX_TOKENS = 16_384
# It counts an image as 2833 tokens and 5667 for each of at most 8 tiles, the others far less than the default:
# https://platform.openai.com/docs/guides/images-vision#calculating-costs
_DEARER_IMAGES = re.compile(r"(.*/)?gpt-4o-mini")
_DEARER_IMAGE_MAX_TOKENS = 2833 + 8 * 5667


def hides_output(name: str) -> bool:
    """Whether the model is known to think without showing it in a stream."""
    return _HIDING.match(name) is not None


def image_max_tokens(name: str) -> int:
    """The most tokens that the model counts for one image."""
    if _DEARER_IMAGES.match(name) is not None:
        return _DEARER_IMAGE_MAX_TOKENS
    return _IMAGE_MAX_TOKENS
