"""`tollhouse import` beside the running product: on its stores, with its pepper."""

import asyncio

import pytest

from tests.e2e.product import calling, running_beside, scripted, tollhouse
from tests.upstream import ScriptedUpstream

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
KEY = "secret-of-somebody-elses-gateway"


@pytest.mark.timeout(240)
async def test_an_imported_key_works_on_every_worker_of_the_running_product():
    async with (
        ScriptedUpstream() as upstream,
        running_beside(scripted(upstream.base_url), TOLLHOUSE_GATEWAY__WORKERS="2") as product,
        calling(product) as caller,
    ):
        assert await caller.chat(KEY, ASK) == (401, "invalid_api_key")
        file = product.place / "keys.csv"
        file.write_text(f"name,key,quota_usd\nold,{KEY},1\n")
        for arguments, words in (
            ((), "Would be made for admin: 1."),
            (("--apply",), "Made for admin: 1."),
            (("--apply",), "Made for admin: 0. Here already: 1."),
        ):
            done = await asyncio.to_thread(
                tollhouse, product.place, "import", "keys", "--csv", str(file), *arguments
            )
            assert (done.returncode, words in done.stdout) == (0, True), done.stderr + done.stdout
        async with asyncio.timeout(30):
            while await caller.chat(KEY, ASK) != (200, ""):
                pass  # until the worker was told
        status, page = await caller.admin("GET", "/api/token/?keyword=old")
        assert status == 200
        assert [each["key"] for each in page["data"]["items"]] == ["secret-**********eway"]
