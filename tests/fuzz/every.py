"""Every target."""

from typing import Final

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    ask,
    blocks,
    bodies,
    commands,
    config,
    cursors,
    forwarded,
    heads,
    key,
    paths,
    references,
    retry_after,
    sse,
    translated_answers,
    translated_requests,
    urls,
    usage,
)

_MODULES = (
    *(sse, usage, ask, references, heads, paths, key, forwarded, blocks),
    *(config, commands, urls, bodies, cursors, retry_after),
    *(translated_requests, translated_answers),
)
TARGETS: Final[tuple[Target, ...]] = tuple(module.TARGET for module in _MODULES)


def target_of(name: str) -> Target:
    """The one of that name. Raises `KeyError`."""
    return {target.name: target for target in TARGETS}[name]
