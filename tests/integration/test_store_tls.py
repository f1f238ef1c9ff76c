"""Cluster and Sentinels over TLS, where a server is installed that speaks it: those of the wheels do not."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway.store.pipeline import Pipeline
from gateway.store.quota import QuotaStore
from gateway.store.valkey import open_valkey
from tests.valkeys import Cluster, Files, SentinelTrio, running

STRANGE = Path(__file__).parents[1] / "data" / "other_ca.pem"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate that signed itself; nodes of a cluster show it to each other as clients, too."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "valkeys.test")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    directory = tmp_path_factory.mktemp("tls")
    made = Files(directory / "ca.pem", directory / "server.pem")
    made.ca.write_bytes(certificate)
    made.certificate.write_bytes(certificate + secret)
    return made


@pytest.fixture(scope="module")
def program() -> Path:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None and speaks_tls(found):
            return Path(found)
    pytest.skip("no valkey-server or redis-server on the PATH speaks TLS; Debian's packages do")


def speaks_tls(program: str) -> bool:
    """By what it says of a key that is not there."""
    command = [program, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/nonexistent"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return "Failed to configure TLS" in told.stdout + told.stderr


@pytest.mark.parametrize("kind", [Cluster, SentinelTrio])
async def test_every_connection_is_encrypted_and_checks_who_answers(
    kind: type, program: Path, tls: Files
):
    with running(kind, program=program, tls=tls) as servers:
        assert servers.url.startswith("rediss+")
        async with Pipeline(servers.url, operation_timeout_s=5) as pipeline:
            assert await QuotaStore(pipeline).start(0) == 256
            assert {*(await QuotaStore(pipeline).look_round())} == set(range(256))
        async with open_valkey(servers.url) as valkey:
            await valkey.publish_token_change(1)
        strange = servers.url.replace(str(tls.ca), str(STRANGE))
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await Pipeline(strange).start(wait_s=1)
