"""A second request never appears that was not sent, directly and behind real proxies. Ids: docs/threat-model.md."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.rig import Rig
from tests.proxies import PROXIES, binary_of, proxy
from tests.raw_request import REFUSED, raw_requests, read_by_c
from tests.security.attacks import FIGURE
from tests.smuggling import CLOSED, everybody_else_gets_their_own, hidden_among, send

Tell = Callable[[str, object], None]


async def test_what_could_be_two_requests_is_refused_and_what_is_odd_is_one(
    rig: Rig, subtests, record_property: Tell
):
    """N08, N09, N10, N11, N20."""
    key = (await rig.token()).key
    answered: Counter[str] = Counter()
    for raw in raw_requests():
        with subtests.test(raw.name):
            rig.upstream.requests.clear()
            statuses = await send(rig.url, raw, key)
            answered[str(statuses[0] if statuses else CLOSED)] += 1
            is_unreadable = read_by_c(raw.by(key)) == REFUSED
            assert len(statuses) <= (1 if is_unreadable else 2), "what cannot be read is closed"
            assert not hidden_among(rig.upstream.requests)
            if raw.is_refused:
                assert not rig.upstream.requests
                assert not statuses or 400 <= statuses[0] < 500
            else:
                assert len(rig.upstream.requests) == 1
                assert statuses[0] == 200
    record_property(FIGURE + "raw requests, sent directly", dict(answered))


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.timeout(300)
async def test_behind_a_proxy_no_request_appears_that_it_has_not_sent(
    name: str, rig: Rig, tmp_path: Path, subtests, record_property: Tell
):
    """N09."""
    if not binary_of(name):
        pytest.skip(f"{name} IS NOT INSTALLED: apt-get install {name}")
    key = (await rig.token()).key
    answered: Counter[str] = Counter()
    stamps: Counter[str] = Counter()
    with proxy(name, rig.url, tmp_path) as url:
        for number, raw in enumerate(raw_requests()):
            with subtests.test(raw.name):
                rig.upstream.requests.clear()
                statuses = await send(url, raw, key)
                answered[str(statuses[0] if statuses else CLOSED)] += 1
                await everybody_else_gets_their_own(rig, url, key, number)
                assert not hidden_among(rig.upstream.requests, stamps)
    record_property(f"{FIGURE}raw requests, behind {name}", dict(answered))
