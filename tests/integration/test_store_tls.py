"""Cluster and Sentinels over TLS, where a server is installed that speaks it: those of the wheels do not."""

import shutil
from pathlib import Path

import pytest

from gateway.store.pipeline import Pipeline
from gateway.store.quota import QuotaStore
from gateway.store.valkey import open_valkey
from tests.valkeys import Cluster, Files, SentinelTrio, running

DATA = Path(__file__).parents[1] / "data"
TLS = Files(DATA / "ca.pem", DATA / "server.pem")


@pytest.fixture(scope="module")
def program() -> Path:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and b"tls-cert-file" in Path(found).read_bytes():
            return Path(found)
    pytest.skip("no valkey-server or redis-server on the PATH speaks TLS; Debian's packages do")


@pytest.mark.parametrize("kind", [Cluster, SentinelTrio])
async def test_every_connection_is_encrypted_and_checks_who_answers(kind: type, program: Path):
    with running(kind, program=program, tls=TLS) as servers:
        assert servers.url.startswith("rediss+")
        async with Pipeline(servers.url, operation_timeout_s=5) as pipeline:
            assert await QuotaStore(pipeline).start(0) == 256
            assert {*(await QuotaStore(pipeline).look_round())} == set(range(256))
        async with open_valkey(servers.url) as valkey:
            await valkey.publish_token_change(1)
        strange = servers.url.replace(str(TLS.ca), str(DATA / "other_ca.pem"))
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await Pipeline(strange).start(wait_s=1)
