"""`tollhouse import` against real databases of other gateways: what it tells, what it makes, and that it repeats."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.cli import main
from gateway.domain.edit import TokenDraft
from gateway.domain.key import create_key, foreign
from gateway.domain.rejection import Rejected
from gateway.store.imports import Owner, write_batch
from gateway.store.people import write_user
from gateway.store.postgres import transaction
from tests.databases import fresh_database
from tests.integration.rig import PEPPER, PEPPER_SECRET, SYSTEM, USD, Rig, chat, until
from tests.integration.test_calls import refused

LITELLM_KEY = "sk-abcdefghijklmnopqrstuv"
# As GORM makes it, but for the indexes: https://github.com/QuantumNous/new-api/blob/main/model/token.go
NEW_API = """
CREATE TABLE tokens (
  id integer PRIMARY KEY, user_id integer, "key" varchar(128) UNIQUE, status integer DEFAULT 1,
  name text, created_time bigint, accessed_time bigint, expired_time bigint DEFAULT -1,
  remain_quota bigint DEFAULT 0, unlimited_quota boolean, model_limits_enabled boolean,
  model_limits text DEFAULT '', allow_ips text DEFAULT '', used_quota bigint DEFAULT 0,
  "group" text DEFAULT '', cross_group_retry boolean, deleted_at timestamp
)
"""
# https://github.com/BerriAI/litellm/blob/main/schema.prisma
LITELLM = """
CREATE TABLE "LiteLLM_VerificationToken" (
  token text PRIMARY KEY, key_name text, key_alias text, soft_budget_cooldown boolean DEFAULT false,
  spend double precision NOT NULL DEFAULT 0, expires timestamp(3), models text[],
  aliases jsonb NOT NULL DEFAULT '{}', config jsonb NOT NULL DEFAULT '{}', user_id text, team_id text,
  permissions jsonb NOT NULL DEFAULT '{}', max_parallel_requests integer,
  metadata jsonb NOT NULL DEFAULT '{}', blocked boolean, tpm_limit bigint, rpm_limit bigint,
  max_budget double precision, budget_duration text, budget_reset_at timestamp(3),
  allowed_cache_controls text[] DEFAULT '{}', allowed_routes text[] DEFAULT '{}',
  policies text[] DEFAULT '{}', model_spend jsonb NOT NULL DEFAULT '{}',
  model_max_budget jsonb NOT NULL DEFAULT '{}', budget_id text, organization_id text,
  object_permission_id text, created_at timestamp(3) DEFAULT now()
)
"""
NEW_API_ROW = (
    'INSERT INTO tokens (id, user_id, "key", name, remain_quota, unlimited_quota, used_quota, "group")'
    " VALUES ({0}, 1, '{1}', 'token {0}', {2}, false, 7, '{3}')"
)

Run = Callable[..., Any]


def new_api_key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:48]


@pytest.fixture
async def theirs(server_addresses) -> AsyncIterator[tuple[str, asyncpg.Connection]]:
    """A database of the other gateway's: its DSN, and a connection to fill it."""
    async with fresh_database(server_addresses) as dsn:
        connection = await asyncpg.connect(dsn)
        try:
            yield dsn, connection
        finally:
            await connection.close()


@pytest.fixture
def tollhouse(rig: Rig, postgres_dsn: str, valkey_url: str, monkeypatch, capfdbinary) -> Run:
    """Runs `tollhouse import …` on the rig's stores; answers status and what it wrote."""
    monkeypatch.setenv("TOLLHOUSE_POSTGRES__DSN", postgres_dsn)
    monkeypatch.setenv("TOLLHOUSE_REDIS__URL", valkey_url)
    monkeypatch.setenv("TOLLHOUSE_PEPPER", PEPPER_SECRET.hex())

    async def run(*arguments: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["import", *arguments])
        out, err = capfdbinary.readouterr()
        return status, (out + err).decode()

    return run


async def known(rig: Rig) -> None:
    async with asyncio.timeout(20):
        await until(lambda: rig.gateway.foreign.exist)


async def tokens(rig: Rig) -> list[asyncpg.Record]:
    return await rig.database.fetch(
        """
        SELECT t.*, x.display, x.last4, x.purpose FROM token t JOIN token_secret x ON x.token_id = t.id
         WHERE x.purpose = 'imported' ORDER BY t.id
        """
    )


async def test_a_dry_run_tells_everything_and_writes_nothing(rig: Rig, tollhouse: Run, theirs):
    dsn, connection = theirs
    await connection.execute(NEW_API)
    await connection.execute(NEW_API_ROW.format(1, new_api_key(1), 250_000, ""))
    await connection.execute(NEW_API_ROW.format(2, new_api_key(2), 500_000, "pro"))
    await connection.execute("ALTER TABLE tokens ADD COLUMN daily_quota integer")
    before = await rig.database.fetchval("SELECT count(*) FROM audit")
    status, told = await tollhouse("new-api", "--dsn", dsn)
    assert status == 1
    shown = f"sk-{new_api_key(1)[:4]}**********{new_api_key(1)[-4:]}"
    assert all(word in told for word in ("token 1", shown, "$0.50"))
    assert "Left out:\n  token 2 'token 2': group: there is no group 'pro' here" in told
    assert "Would be made for admin: 1. Here already: 0. Left out: 1." in told
    assert "Nothing was written: --apply does it." in told
    assert "sk-…-12" in told
    assert "Columns that are not understood stay behind: 'daily_quota'." in told
    assert new_api_key(1) not in told
    assert await tokens(rig) == []
    assert await rig.database.fetchval("SELECT count(*) FROM audit") == before


async def test_new_api_keys_work_after_the_import_and_a_second_one_skips_them(
    rig: Rig, tollhouse: Run, theirs
):
    dsn, connection = theirs
    await connection.execute(NEW_API)
    for number in range(1, 251):
        await connection.execute(NEW_API_ROW.format(number, new_api_key(number), 250_000, ""))
    status, told = await tollhouse("new-api", "--dsn", dsn, "--apply")
    assert status == 0, told
    assert "Made for admin: 250. Here already: 0. Left out: 0." in told
    await known(rig)
    assert await rig.status(f"sk-{new_api_key(1)}") == 200
    await refused(rig.post(f"sk-{new_api_key(1)}-12", chat()), 401, "invalid_api_key")
    made = await tokens(rig)
    assert len(made) == 250
    assert {(row["granted"], row["purpose"]) for row in made} == {(USD // 2, "imported")}
    assert made[0]["metadata"]["imported"] | {"created_time": 0} == {
        "from": "new-api",
        "id": 1,
        "user_id": 1,
        "used_quota": 7,
        "created_time": 0,
    }
    ids = [row["id"] for row in made]
    entries = await rig.database.fetch(
        "SELECT delta, kind, actor FROM grant_entry WHERE scope_kind = 't' AND scope_id = ANY($1)",
        ids,
    )
    assert [tuple(entry) for entry in entries] == [(USD // 2, "create", "cli")] * 250
    audited = await rig.database.fetchval(
        "SELECT count(*) FROM audit WHERE action = 'token.create' AND actor = 'cli'"
    )
    assert audited == 250
    await connection.execute(NEW_API_ROW.format(251, new_api_key(251), 0, ""))
    status, told = await tollhouse("new-api", "--dsn", dsn, "--apply")
    assert status == 0
    assert "Made for admin: 1. Here already: 250. Left out: 0." in told


async def test_litellm_keys_work_by_their_hash_alone(rig: Rig, tollhouse: Run, theirs):
    dsn, connection = theirs
    await connection.execute(LITELLM)
    await connection.execute(
        """
        INSERT INTO "LiteLLM_VerificationToken"
               (token, key_name, key_alias, spend, max_budget, models, rpm_limit, expires, team_id)
        VALUES ($1, 'sk-...stuv', 'billing', 0.1, 0.3, '{m}', 2, '2027-01-31 12:00', 't-1')
        """,
        hashlib.sha256(LITELLM_KEY.encode()).hexdigest(),
    )
    status, told = await tollhouse("litellm", "--dsn", dsn, "--apply", "--group-map", "t-1=default")
    assert status == 0, told
    (row,) = await tokens(rig)
    assert (row["granted"], row["models"], row["models_enabled"]) == (200_000_000, ["m"], True)
    assert (row["display"], row["last4"]) == ("sk-**********stuv", "stuv")
    assert row["metadata"]["imported"]["spend_usd"] == "0.1"
    await known(rig)
    assert await rig.status(LITELLM_KEY) == 200
    await refused(rig.post(LITELLM_KEY, chat("unpriced")), 403, "model_not_allowed")
    assert await rig.status(LITELLM_KEY) == 200
    await refused(rig.post(LITELLM_KEY, chat()), 429, "rate_limit_exceeded")


async def test_sqlite_is_read_as_it_is(rig: Rig, tollhouse: Run, tmp_path: Path):
    file = tmp_path / "one-api.db"
    with sqlite3.connect(file) as connection:
        connection.execute(NEW_API)
        connection.execute(NEW_API_ROW.format(1, new_api_key(1), 250_000, ""))
        connection.execute("UPDATE tokens SET status = 2")
    connection.close()
    status, told = await tollhouse("new-api", "--sqlite", str(file), "--apply")
    assert status == 0, told
    await known(rig)
    await refused(rig.post(f"sk-{new_api_key(1)}", chat()), 401, "key_disabled")


async def test_a_batch_is_written_whole_or_not_at_all(rig: Rig):
    owner = Owner(1, "admin")
    good = (foreign("the-first-of-two-keys"), TokenDraft(name="good", granted=USD))
    bad = (foreign("the-other-of-two-keys"), TokenDraft(name="bad", granted=USD, group="gone"))
    with pytest.raises(Rejected, match="no group 'gone'"):
        await write_batch(rig.database, SYSTEM, owner, [good, bad], pepper=PEPPER)
    assert await tokens(rig) == []
    # Two imports at once make each token once.
    made = await asyncio.gather(
        *(write_batch(rig.database, SYSTEM, owner, [good], pepper=PEPPER) for _ in range(4))
    )
    assert sorted(map(len, made)) == [0, 0, 0, 1]
    assert [row["name"] for row in await tokens(rig)] == ["good"]


async def test_a_csv_of_any_keys_is_imported_for_a_user_and_reported_in_json(
    rig: Rig, tollhouse: Run, tmp_path: Path
):
    async with transaction(rig.database) as connection:
        user_id = await write_user(connection, SYSTEM, "Ada", granted=None)
    file = tmp_path / "keys.csv"
    file.write_text(
        "\ufeffname,key,quota_usd,model_limits\n"
        f'one,secret-of-the-first-caller,0.5,"m, other"\ntwo,{create_key()},,\n\nthree,,,\n'
    )
    status, told = await tollhouse("keys", "--csv", str(file), "--apply", "--user", "ada", "--json")
    assert status == 1
    report = json.loads(told)
    assert (report["applied"], report["user"]) == (True, "Ada")
    assert report["left_out"] == [{"row": "line 5", "name": "three", "reasons": ["key: is empty."]}]
    one, two = await tokens(rig)
    assert [each["id"] for each in report["tokens"]] == [one["id"], two["id"]]
    assert one["user_id"] == two["user_id"] == user_id
    assert (one["granted"], two["granted"]) == (USD // 2, None)
    assert report["tokens"][0]["key"] == "secret-**********ller"
    await known(rig)
    assert await rig.status("secret-of-the-first-caller") == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "lacks name, key"),
        (b"name,key,colour\n", "'colour'; known are"),
        (b"name,key,key\n", "'key' twice"),
        (b"name,key\na\n", "line 2 has 1 cells"),
        (b"name,key\n\xff,b\n", "not UTF-8"),
        (b'name,key\n"a,b\n', "no CSV"),
        (None, "cannot be read"),
    ],
)
async def test_a_file_that_is_no_table_is_wrong_use(
    tollhouse: Run, tmp_path: Path, content: bytes | None, words: str
):
    file = tmp_path / "keys.csv"
    if content is not None:
        file.write_bytes(content)
    status, told = await tollhouse("keys", "--csv", str(file), "--apply")
    assert (status, words in told) == (2, True), told


async def test_what_cannot_be_reached_or_found_is_told(
    rig: Rig, tollhouse: Run, theirs, tmp_path: Path
):
    dsn, connection = theirs
    file = tmp_path / "keys.csv"
    file.write_text("name,key\none,some-secret-of-ours\n")
    for arguments, expected, words in (
        (("litellm", "--dsn", dsn), 1, "no table LiteLLM_VerificationToken"),
        (("litellm", "--dsn", "postgres://x:pw@127.0.0.1:1/x"), 1, "Postgres"),
        (("litellm", "--dsn", "nonsense"), 2, "--dsn"),
        (("new-api", "--sqlite", str(file)), 1, "not a database"),
        (("new-api", "--sqlite", str(tmp_path / "none")), 1, "no such file"),
        (("keys", "--csv", str(file), "--user", "nobody"), 1, "no user 'nobody'"),
        (("keys", "--csv", str(file), "--group-map", "a=b"), 2, "no group 'b'"),
    ):
        status, told = await tollhouse(*arguments)
        assert (status, words in told, "pw" in told) == (expected, True, False), told
    await connection.execute('CREATE TABLE tokens (id integer, "key" text)')
    await connection.execute("INSERT INTO tokens VALUES (1, 'k')")
    status, told = await tollhouse("new-api", "--dsn", dsn)
    assert (status, "lacks status, expired_time" in told) == (2, True), told
    assert await tokens(rig) == []
