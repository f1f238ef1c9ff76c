"""An ID token is believed only if the provider signed it, for us, now, and for this sign-in."""

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from admin_api.people.id_token import BadIdToken, claims_of, person_of
from admin_api.people.sign_in import username_of

NOW = 1_800_000_000
KEY = RSAKey.generate_key(2048, {"kid": "a"})
STRANGER = RSAKey.generate_key(2048, {"kid": "a"})
KEYS = KeySet([RSAKey.import_key(KEY.as_dict(private=False))])
CLAIMS = {
    "iss": "https://id.example.com",
    "sub": "7",
    "aud": "tollhouse",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n",
}


def token_of(key=KEY, alg="RS256", **changes):
    claims = {name: value for name, value in (CLAIMS | changes).items() if value is not None}
    return jwt.encode({"alg": alg, "kid": "a"}, claims, key, algorithms=[alg])


def check(token):
    return claims_of(token, KEYS, issuer=CLAIMS["iss"], client_id="tollhouse", nonce="n", now=NOW)


GOOD = [
    {},
    {"aud": ["tollhouse"]},
    {"aud": ["tollhouse", "other"], "azp": "tollhouse"},
    {"exp": NOW - 30},  # clocks differ
]


@pytest.mark.parametrize("changes", GOOD)
def test_a_token_of_the_provider_is_believed(changes):
    assert check(token_of(**changes))["sub"] == "7"


BAD = [
    *({name: None} for name in CLAIMS),
    {"iss": "https://id.example.com/"},
    {"aud": "other"},
    {"aud": ["tollhouse", "other"]},
    {"aud": ["tollhouse", "other"], "azp": "other"},
    {"azp": "other"},
    {"exp": NOW - 61},
    {"iat": NOW + 3600},
    {"nonce": "another"},
    {"sub": ""},
    {"sub": "x" * 256},
]


@pytest.mark.parametrize("changes", BAD)
def test_a_token_of_anything_else_is_not(changes):
    with pytest.raises(BadIdToken):
        check(token_of(**changes))


FORGED = [
    lambda: token_of(STRANGER),
    lambda: token_of(OctKey.import_key("tollhouse-secret-of-the-client-01"), "HS256"),
    lambda: token_of()[:-4] + "AAAA",
    lambda: "",
    lambda: "a.b.c",
    lambda: "eyJhbGciOiJub25lIn0." + token_of().split(".")[1] + ".",
]


@pytest.mark.parametrize("forge", FORGED)
def test_a_token_that_the_provider_did_not_sign_is_not_believed(forge):
    with pytest.raises(BadIdToken):
        check(forge())


ADDRESSES = [
    ({"email": "ada@example.com", "email_verified": True}, "ada@example.com"),
    ({"email": "ada@example.com", "email_verified": "true"}, None),
    ({"email": "ada@example.com", "email_verified": False}, None),
    ({"email": "ada@example.com"}, None),
    ({"email": "a@b\nBcc: c@d", "email_verified": True}, None),
    ({"email": 7, "email_verified": True}, None),
    ({}, None),
]


@pytest.mark.parametrize(("claims", "email"), ADDRESSES)
def test_only_a_verified_address_is_one(claims, email):
    assert person_of(CLAIMS | claims).email == email


NAMES = [
    ("ada", "ada"),
    ("Ada Lovelace", "Ada-Lovelace"),
    ("ada@example.com", "ada-example.com"),
    ("-- ..", "user"),
    ("Ἀδα", "user"),
    ("x" * 99, "x" * 48),
]


@pytest.mark.parametrize(("name", "username"), NAMES)
def test_a_username_is_made_of_what_somebody_is_called(name, username):
    assert username_of(name) == username
