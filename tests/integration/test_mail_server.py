"""E-mail reaches servers of all kinds: with STARTTLS, with TLS, with a log-in; and never in the clear by mistake."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from admin_api.delivery.courier import NotSent
from admin_api.delivery.mailer import Mailer
from gateway.admin_settings import MailSettings
from gateway.store.outbox_queue import Message
from tests.mail import running_mail

MESSAGE = Message(
    7,
    "ada@example.com",
    {"subject": "A subject", "text": "Hello."},
    1,
    dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
)


@pytest.fixture
def certificate(tmp_path):
    """A certificate of 127.0.0.1 that only its own file vouches for, and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "mail.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return file, context


async def test_a_server_is_told_name_and_password_behind_starttls(certificate):
    file, context = certificate
    async with running_mail(context, with_login=True) as box:
        settings = box.settings(
            tls="starttls",
            ca_file=str(file),
            host="localhost",
            username="tollhouse",
            password_env="MAIL_PASSWORD",
        )
        await Mailer(MailSettings(**settings), "right").send(MESSAGE)
        letter = await box.letter()
        assert letter["Message-ID"] == "<msg_7_1767225600000@example.com>"
        assert box.logins == [("tollhouse", "right")]
        with pytest.raises(NotSent, match="535") as refused:
            await Mailer(MailSettings(**settings), "wrong").send(MESSAGE)
        assert not refused.value.for_good


async def test_a_server_may_speak_tls_from_the_start(certificate):
    file, context = certificate
    async with running_mail(whole=context) as box:
        settings = box.settings(tls="tls", ca_file=str(file), host="localhost")
        await Mailer(MailSettings(**settings), "").send(MESSAGE)
        await box.letter()


async def test_a_server_that_nobody_vouches_for_gets_nothing(certificate):
    _, context = certificate
    async with running_mail(context) as box:
        settings = box.settings(tls="starttls", host="localhost")
        with pytest.raises(NotSent, match="certificate"):
            await Mailer(MailSettings(**settings), "").send(MESSAGE)
        assert box.letters.empty()


async def test_a_server_without_starttls_gets_nothing_where_it_is_asked_for():
    async with running_mail() as box:
        settings = box.settings(tls="starttls")
        with pytest.raises(NotSent, match="STARTTLS"):
            await Mailer(MailSettings(**settings), "").send(MESSAGE)
        assert box.letters.empty()


async def test_a_subject_cannot_add_headers():
    async with running_mail() as box:
        forged = Message(
            *(7, "ada@example.com", {"subject": "a\nBcc: eve@example.com", "text": "x"}, 1),
            MESSAGE.created_at,
        )
        with pytest.raises(ValueError, match="Header values may not contain"):
            await Mailer(MailSettings(**box.settings()), "").send(forged)
        assert box.letters.empty()


def test_a_file_of_authorities_that_cannot_be_read_is_named():
    settings = MailSettings(host="h", sender="a@b", ca_file="/nowhere/ca.pem")
    with pytest.raises(OSError, match=r"mail\.ca_file: /nowhere/ca\.pem: No such file"):
        Mailer(settings, "")
