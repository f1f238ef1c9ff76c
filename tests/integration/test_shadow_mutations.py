"""Bugs of limits in the shadow are seeded into the scripts, and the law of their twins must find each."""

import pytest

from tests.integration.test_mutations import in_script
from tests.quota_rig import open_rig
from tests.shadow_twins import NoTwin, Twins

MUTATIONS = (
    in_script(
        "what a limit in the shadow would have refused counts in it",
        set(),
        "reserve",
        ("cost, counts, mark = 0, total, -1 - tag", "mark = -1 - tag"),
        ("if kind ~= 2 or now_ms >= current then out[8 + 2 * i] = bytes end", ""),
    ),
    in_script(
        "its window moves on, and keeps the head from before",
        set(),
        "reserve",
        ("for j = plan and #plan or 0, planned + 1, -1 do plan[j] = nil end", ""),
    ),
    *(
        in_script(
            f"{name} corrects a window that the call is not counted in",
            set(),
            name,
            ("if -1 - bucket == select(5, read(HEAD, bytes)) then return nil end", ""),
        )
        for name in ("settle", "extend")
    ),
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
async def test_a_seeded_bug_of_limits_in_the_shadow_is_found(mutation, valkey_url):
    async def run() -> None:
        for seed in range(10):
            async with open_rig(valkey_url, scripts=mutation.scripts()) as rig:
                await Twins(rig, seed).run(150)

    with pytest.raises(NoTwin):
        await run()
