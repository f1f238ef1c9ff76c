"""Which settings a model of Anthropic's takes, by the version in its name. Pure.

https://docs.claude.com/en/docs/about-claude/models/migration-guide. A name without a version is another provider's that
speaks the dialect, or a model that is new.
"""

import re
from typing import Final

Version = tuple[int, int]

_VERSION: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
FIRST_OF_EITHER: Final = (4, 1)
"""From here on a temperature and `top_p` are not taken together."""
FIRST_OF_EFFORTS: Final = (4, 6)
"""Before it, thoughts are told as tokens alone."""
FIRST_WITHOUT_BUDGETS: Final = (4, 7)
"""From here on, they are told as an effort alone; and nothing is taken of how tokens are drawn."""
FIRST_WITHOUT_SAMPLING: Final = FIRST_WITHOUT_BUDGETS


def version_of(model: str) -> Version | None:
    """The version in a model's name, as Anthropic itself, Bedrock, Vertex and OpenRouter write it."""
    found = _VERSION.search(model)
    return None if found is None else (int(found[1]), int(found[2] or 0))
