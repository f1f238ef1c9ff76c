"""Pepper and encryption key are changed as the documents say, under a product that people run."""

import json

from tests.e2e.product import Product, calling, folder, tollhouse

ASK = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


async def test_the_embedded_pepper_and_encryption_key_are_changed_by_renaming_their_files():
    with folder() as place:
        product = Product(place, TOLLHOUSE_GATEWAY__WORKERS="1", TOLLHOUSE_KEYS__RECOVERABLE="true")
        secrets = product.state / "secrets"
        try:
            product.start()
            key = product.ready["key"]
            async with calling(product) as caller:
                kept = await caller.token(unlimited_quota=True)
            product.stop()
            for name in ("pepper", "kek"):
                (secrets / name).rename(secrets / f"{name}_previous")

            product.start()
            told = tollhouse(place, "pepper")
            assert told.returncode == 1, told.stderr
            assert "never used" in told.stdout
            assert key not in told.stdout
            async with calling(product) as caller:
                assert await caller.chat(key, ASK) == (200, "")
                assert await caller.chat(kept["key"], ASK) == (200, "")
                assert (await caller.admin("GET", "/api/user/self"))[0] == 200
            sealed = tollhouse(place, "reseal")
            assert (sealed.returncode, sealed.stdout) == (0, "Sealed 1 keys anew.\n")
            product.stop()  # what was used is written then, at the latest

            product.start()
            counted = tollhouse(place, "pepper", "--json")
            assert counted.returncode == 0, counted.stdout
            counts = json.loads(counted.stdout)["counts"]
            assert counts["keys"] == {"current": 2, "previous": 0, "neither": 0}
            assert counts["access tokens"] == {"current": 1, "previous": 0, "neither": 0}
            product.stop()
            for name in ("pepper_previous", "kek_previous"):
                (secrets / name).unlink()

            product.start()
            async with calling(product) as caller:
                assert await caller.chat(key, ASK) == (200, "")
                status, shown = await caller.admin("POST", f"/api/token/{kept['id']}/key")
                assert (status, shown["data"]["key"]) == (200, kept["key"])
            product.stop()
        finally:
            product.end()
