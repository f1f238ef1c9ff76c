"""With which pepper what opens something was digested: what may be known before an old pepper is dropped.

What has ended counts nowhere: it opens nothing, whatever the pepper.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from gateway.store.postgres import Connection

_OF_LIVE: Final = """
FROM token_secret x JOIN token t ON t.id = x.token_id JOIN "user" u ON u.id = t.user_id
WHERE t.deleted_at IS NULL AND (x.expires_at IS NULL OR x.expires_at > now())
"""
_LIVE: Final = {
    "keys": _OF_LIVE,
    "access tokens": "FROM access_token x WHERE x.expires_at IS NULL OR x.expires_at > now()",
    "sessions": "FROM session x WHERE x.expires_at > now()",
    "links": "FROM link x WHERE x.used_at IS NULL AND x.expires_at > now()",
    "invites": "FROM invite x WHERE x.revoked_at IS NULL AND x.used < x.uses AND x.expires_at > now()",
    "codes": """
FROM redeem_code x JOIN redeem_batch b ON b.id = x.batch_id
WHERE x.used_at IS NULL AND x.revoked_at IS NULL AND (b.expires_at IS NULL OR b.expires_at > now())
""",
}
_COUNT: Final = " UNION ALL ".join(
    f"SELECT '{kind}' AS kind, x.pepper_version AS version, count(*) AS count {live} GROUP BY x.pepper_version"
    for kind, live in _LIVE.items()
)
_TOKENS: Final = f"""
SELECT t.id, t.name, u.username, x.display, x.last_used_at {_OF_LIVE}
   AND x.pepper_version <> $1 AND x.purpose <> 'playground'
 ORDER BY x.last_used_at NULLS FIRST, t.id LIMIT $2
"""


class Resting(NamedTuple):
    """A key that stands there as an older pepper has it, and the token that it opens."""

    token_id: int
    name: str
    username: str
    display: str
    last_used_at: datetime | None


async def count_by_pepper(connection: Connection) -> dict[str, dict[int, int]]:
    """How many of each kind there are, by the version of the pepper."""
    counts: dict[str, dict[int, int]] = {kind: {} for kind in _LIVE}
    for kind, version, count in await connection.fetch(_COUNT):
        counts[kind][version] = count
    return counts


async def resting_keys(connection: Connection, version: int, most: int) -> Sequence[Resting]:
    """Keys that another pepper than `version` digested, those that were not used for the longest first."""
    return [Resting(*row) for row in await connection.fetch(_TOKENS, version, most)]
