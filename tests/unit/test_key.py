"""Keys: made, recognised without a store, digested, shown."""

import hashlib
import hmac
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import key as keys
from gateway.domain.pepper import Pepper

ALPHABET = string.digits + string.ascii_letters


def test_a_new_key_is_sound_and_has_the_documented_shape():
    key = keys.create_key()
    assert re.fullmatch(r"sk-[0-9A-Za-z]{49}", key)
    assert keys.is_own(key)
    assert keys.is_sound(key)
    assert re.search(keys.KEY_PATTERN, f'key = "{key}"')


def test_keys_do_not_repeat_and_use_the_whole_alphabet():
    made = [keys.create_key() for _ in range(500)]
    assert len(set(made)) == 500
    assert set("".join(key[3:46] for key in made)) == set(ALPHABET)


@given(st.integers(3, 51), st.sampled_from(ALPHABET))
def test_any_changed_character_is_noticed(position, character):
    key = keys.create_key()
    changed = key[:position] + character + key[position + 1 :]
    assert keys.is_sound(changed) == (changed == key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-",
        "sk-short",
        "sk-" + "a" * 48,
        "sk-" + "a" * 50,
        "sk-" + "a" * 48 + "-",
        "SK-" + "a" * 49,
        "tht_" + "a" * 49,
        "sk-" + "ä" * 49,
        "sk-" + "a" * 49 + "\n",
        " sk-" + "a" * 49,
    ],
)
def test_other_text_is_not_one_of_our_keys(text):
    assert not keys.is_own(text)
    assert not keys.is_sound(text)


def test_a_key_of_the_right_shape_but_a_wrong_checksum_is_own_and_not_sound():
    assert keys.is_own("sk-" + "a" * 49)
    assert not keys.is_sound("sk-" + "a" * 49)


def test_a_key_made_long_ago_stays_sound():
    # CRC-32 of 43 zeros is 2,018,072,207, "2CZclj" in base 62.
    assert keys.is_sound("sk-" + "0" * 43 + "2CZclj")


def test_text_that_is_no_unicode_has_a_digest():
    assert len(keys.digest("\udcff\ud800", Pepper(b"p" * 32))) == 32
    assert keys.sha256_of("sk-é") == hashlib.sha256("sk-é".encode()).digest()


def test_the_digest_is_an_hmac_of_the_sha256_so_that_hashes_can_be_imported():
    key, secret = keys.create_key(), bytes(range(32))
    pepper = Pepper(secret)
    inner = hashlib.sha256(key.encode()).digest()
    assert keys.digest(key, pepper) == hmac.new(secret, inner, hashlib.sha256).digest()
    assert keys.digest(key, Pepper(bytes(32))) != keys.digest(key, pepper)


@given(st.text(max_size=60))
def test_any_text_has_a_digest_of_32_bytes(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert len(keys.digest(text, Pepper(b"pepper"))) == 32


def test_the_mask_shows_seven_first_and_four_last_characters():
    key = keys.create_key()
    shown = keys.display(key)
    assert shown == f"{key[:7]}**********{key[-4:]}"
    assert shown.isascii()
    assert key[7:-4] not in shown
