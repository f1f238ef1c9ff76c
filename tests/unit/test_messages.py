"""The pure parts of what is sent: addresses, pauses, and settings that say what they need."""

import itertools

import pytest
from pydantic import ValidationError

from gateway.config import ConfigError, read_service_secrets
from gateway.domain.emails import is_email
from gateway.domain.retries import pause_after
from gateway.settings import Config

GOOD = ["a@b", "ada.lovelace+toll@mail.example.com", "x" * 64 + "@example.com"]
BAD = [
    *("", "@", "a@", "@b", "a", "a b@c", "a@b@c", "a..b@c", "a@-b", "a@b-", "a@b..c", "a@b."),
    *("Ada <a@b>", "a@b\n", "a\r\nBcc: c@d", "ä@b", "a@ä", "a,b@c", "x" * 65 + "@b"),
    "a@" + "b." * 200 + "c",
]


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_one(text):
    assert is_email(text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused(text):
    assert not is_email(text)


def test_pauses_grow_and_end_after_about_a_day():
    pauses = list(
        itertools.takewhile(lambda each: each is not None, map(pause_after, range(1, 99)))
    )
    assert pauses == sorted(pauses)
    assert pauses[0] <= 10
    assert 20 * 3600 < sum(pauses) < 28 * 3600


WRONG = [
    ({"mail": {"host": "h"}}, "sender must be an address"),
    ({"mail": {"host": "h", "sender": "nobody"}}, "sender must be an address"),
    ({"mail": {"host": "h", "sender": "a@b", "username": "u"}}, "needs password_env"),
    ({"admin": {"require_verified_email": True}}, "needs mail.host"),
]


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_settings_say_what_mail_needs(settings, said):
    with pytest.raises(ValidationError, match=said):
        Config.model_validate(settings)


def test_an_empty_password_variable_is_named():
    mail = {"host": "h", "sender": "a@b", "username": "u", "password_env": "MAIL_PASSWORD"}
    config = Config.model_validate({"mail": mail})
    with pytest.raises(ConfigError, match=r"mail\.password_env: MAIL_PASSWORD is empty or not set"):
        read_service_secrets({}, config)
    assert read_service_secrets({"MAIL_PASSWORD": "x"}, config).mail_password == "x"


def test_every_secret_that_a_setting_names_is_read_from_its_variable():
    webhook = {"webhook_url": "https://h", "webhook_secret_env": "HOOK"}
    config = Config.model_validate({"oidc": {"client_secret_env": "OIDC"}, "warnings": webhook})
    with pytest.raises(ConfigError, match=r"oidc\.client_secret_env: OIDC is empty"):
        read_service_secrets({"HOOK": "h"}, config)
    with pytest.raises(ConfigError, match=r"warnings\.webhook_secret_env: HOOK is empty"):
        read_service_secrets({"OIDC": "o"}, config)
    read = read_service_secrets({"OIDC": "o", "HOOK": "h"}, config)
    assert (read.oidc_client_secret, read.warnings_secret) == ("o", "h")
