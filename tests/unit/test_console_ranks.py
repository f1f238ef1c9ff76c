"""What the console offers is what the server allows: its table of ranks is the server's."""

import re
from pathlib import Path

from gateway.domain.roles import MEMBER_ROLES, ROLES, may_manage

SOURCE = Path(__file__).parents[2] / "admin_api/console/web/pages/people/roles.js"


def test_the_page_has_the_servers_ranks():
    source = SOURCE.read_text(encoding="utf-8")
    table = re.search(r"const RANKS = \{(.*?)\}", source)
    assert table
    ranks = {name: int(rank) for name, rank in re.findall(r"(\w+): (\d)", table[1])}
    assert ranks.keys() == ROLES.keys()
    for role in ROLES:
        for other in ROLES:
            offered = role == "owner" or ranks[role] > ranks[other]
            assert offered == may_manage(role, other), (role, other)
    named = re.search(r"MEMBER_ROLES = \[(.*?)\]", source)
    assert named
    assert tuple(re.findall(r'"(\w+)"', named[1])) == MEMBER_ROLES
