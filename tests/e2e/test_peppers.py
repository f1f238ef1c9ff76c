"""The pepper is changed as SECURITY.md says, under a product that people run."""

import json

from tests.e2e.product import Product, calling, folder, tollhouse

ASK = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


async def test_an_embedded_pepper_is_changed_by_renaming_its_file():
    with folder() as place:
        product = Product(place, TOLLHOUSE_GATEWAY__WORKERS="1")
        secrets = product.state / "secrets"
        try:
            product.start()
            key = product.ready["key"]
            product.stop()
            (secrets / "pepper").rename(secrets / "pepper_previous")

            product.start()
            told = tollhouse(place, "pepper")
            assert told.returncode == 1, told.stderr
            assert "never used" in told.stdout
            assert key not in told.stdout
            async with calling(product) as caller:
                assert await caller.chat(key, ASK) == (200, "")
                assert (await caller.admin("GET", "/api/user/self"))[0] == 200
            product.stop()  # what was used is written then, at the latest

            product.start()
            counted = tollhouse(place, "pepper", "--json")
            assert counted.returncode == 0, counted.stdout
            counts = json.loads(counted.stdout)["counts"]
            assert counts["keys"] == {"current": 1, "previous": 0, "neither": 0}
            assert counts["access tokens"] == {"current": 1, "previous": 0, "neither": 0}
            product.stop()
            (secrets / "pepper_previous").unlink()

            product.start()
            async with calling(product) as caller:
                assert await caller.chat(key, ASK) == (200, "")
                assert (await caller.admin("GET", "/api/user/self"))[0] == 200
            product.stop()
        finally:
            product.end()
