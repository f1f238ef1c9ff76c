"""What the database itself refuses: to change the audit, and to each process what it need not do."""

import uuid
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from gateway.store.postgres import apply_schema
from gateway.store.roles import ADMIN, GATEWAY, READER, let_in
from tests.databases import as_role, database

ROW = "INSERT INTO audit (actor, action, object_kind, object_id) VALUES ('user:1', 'token.delete', 'token', '7')"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'user:2'",
        "UPDATE audit SET actor = actor WHERE false",
        "DELETE FROM audit WHERE id = 1",
        "TRUNCATE audit",
        "WITH gone AS (DELETE FROM audit RETURNING id) SELECT count(*) FROM gone",
        "MERGE INTO audit a USING (VALUES (1)) x (id) ON a.id = x.id WHEN MATCHED THEN DELETE",
    ],
)
async def test_the_database_refuses_to_change_the_audit_whoever_asks(
    owner: asyncpg.Connection, statement: str
):
    await owner.execute(ROW)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="audit is append-only"):
        await owner.execute(statement)
    assert await owner.fetchval("SELECT actor FROM audit") == "user:1"


async def test_the_owner_removes_old_rows_as_the_documents_say_and_on_purpose(
    owner: asyncpg.Connection,
):
    await owner.execute(ROW)
    async with owner.transaction():
        await owner.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
        await owner.execute("DELETE FROM audit WHERE at <= now()")
        await owner.execute("ALTER TABLE audit ENABLE TRIGGER audit_append_only")
    await owner.execute(ROW)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await owner.execute("DELETE FROM audit")


READS = {
    GATEWAY: [
        "SELECT * FROM token",
        'SELECT id, status FROM "user"',
        "SELECT digest, pepper_version FROM token_secret",
        "SELECT sum(amount) FROM ledger",
    ],
    ADMIN: ['SELECT * FROM "user"', "SELECT * FROM ledger", "SELECT * FROM token_shown"],
    READER: [
        "SELECT * FROM ledger",
        "SELECT * FROM account",
        "SELECT * FROM audit",
        'SELECT username FROM "user"',
    ],
}
REFUSED = {
    GATEWAY: [
        'SELECT password_hash FROM "user"',
        'SELECT email FROM "user"',
        "SELECT sealed FROM token_secret",
        "SELECT * FROM access_token",
        "SELECT * FROM session",
        "SELECT * FROM webhook",
        "SELECT * FROM audit",
        "INSERT INTO audit (actor, action, object_kind, object_id) VALUES ('system', 'x', 'x', 'x')",
        "INSERT INTO token_secret (token_id) VALUES (1)",
        "INSERT INTO token (name) VALUES ('x')",
        "UPDATE token SET status = 1",
        "UPDATE token SET version = version",
        "UPDATE account SET status = 1",
        "UPDATE token_secret SET expires_at = NULL",
        "UPDATE upstream SET spec = '{}'",
        "UPDATE ledger SET amount = 0",
        "DELETE FROM ledger",
        "DELETE FROM grant_entry",
        "UPDATE grant_entry SET delta = 0",
        "DELETE FROM token",
        "UPDATE ledger_keeping SET retention_months = 2",
        "UPDATE carried SET amount = 0",
        "DELETE FROM carried",
        "DELETE FROM rollup",
        "UPDATE rollup_late SET kind = 'x'",
    ],
    ADMIN: [
        "INSERT INTO ledger DEFAULT VALUES",
        "UPDATE ledger SET amount = 0",
        "DELETE FROM ledger",
        "UPDATE token SET used = 0",
        "UPDATE account SET used = 0",
        "UPDATE member SET used = 0",
        "UPDATE subscription SET used = 0",
        "INSERT INTO account (name, used) VALUES ('x', -5)",
        "UPDATE grant_entry SET delta = 0",
        "DELETE FROM grant_entry",
        "UPDATE price SET spec = '{}'",
        "DELETE FROM audit",
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM token",
        "DELETE FROM account",
        "UPDATE rollup SET amount = 0",
        "UPDATE rollup_state SET rolled_before = now()",
        "SELECT drop_ledger_month()",
    ],
    READER: [
        "SELECT digest FROM token_secret",
        "SELECT * FROM access_token",
        "SELECT * FROM session",
        "SELECT * FROM upstream",
        "SELECT * FROM outbox",
        'SELECT password_hash FROM "user"',
        "UPDATE account SET name = 'x'",
        "INSERT INTO refusal VALUES (0, 'x', now(), 1)",
    ],
}
EVERYBODY = [
    "CREATE TABLE mine (id int)",
    "DROP TABLE outage",
    "ALTER TABLE audit DISABLE TRIGGER audit_append_only",
    "ALTER TABLE token ADD COLUMN x int",
    "TRUNCATE refusal",
    "TRUNCATE audit",
    "SET session_replication_role = replica",
    "CREATE ROLE another",
    "COPY ledger TO PROGRAM 'true'",
    "SELECT grant_rights()",
    "SELECT ensure_ledger_partitions(now(), 1)",
    "INSERT INTO schema_version VALUES (2)",
]


@pytest.mark.parametrize("role", [GATEWAY, ADMIN, READER])
async def test_each_role_may_do_what_its_process_does_and_is_refused_the_rest(
    postgres_dsn: str, owner: asyncpg.Connection, role: str, subtests
):
    """It logs in with a password of its own, as its process does."""
    here = await owner.fetchval("SELECT current_database()")
    await let_in(postgres_dsn, {role: "a-password-of-ascii"})
    parts = urlsplit(postgres_dsn)
    place = parts.netloc.rpartition("@")[2]
    own = parts._replace(netloc=f"{role}:a-password-of-ascii@{place}")
    connection = await asyncpg.connect(urlunsplit(own))
    try:
        who = await connection.fetchrow("SELECT session_user, current_user, current_database()")
        assert tuple(who) == (role, role, here)
        assert not await connection.fetchval(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication"
            "  FROM pg_roles WHERE rolname = current_user"
        )
        for statement in READS[role]:
            with subtests.test(may=statement):
                await connection.fetch(statement)
        for statement in (*REFUSED[role], *EVERYBODY):
            with (
                subtests.test(may_not=statement),
                pytest.raises(asyncpg.InsufficientPrivilegeError),
            ):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_wrong_password_lets_nobody_in_and_the_right_one_is_not_kept(
    postgres_dsn: str, owner: asyncpg.Connection
):
    await let_in(postgres_dsn, {READER: "right-password"})
    parts = urlsplit(postgres_dsn)
    wrong = parts._replace(netloc=f"{READER}:wrong@{parts.netloc.rpartition('@')[2]}")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(urlunsplit(wrong))
    kept = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = $1", READER)
    assert kept.startswith("SCRAM-SHA-256$4096:")
    assert "right-password" not in kept


async def test_tests_work_with_the_rights_of_the_processes(postgres_dsn: str):
    """Else they would show nothing of whether these are enough."""
    for role in (GATEWAY, ADMIN):
        connection = await asyncpg.connect(as_role(postgres_dsn, role))
        assert await connection.fetchval("SELECT current_user") == role
        await connection.close()


async def test_an_owner_who_may_make_no_roles_is_told_and_everything_else_is_made(
    server_addresses: tuple[str, str],
):
    """As on a managed server: roles are made there by somebody else, and granted at the next `migrate`."""
    name = f"poor_{uuid.uuid4().hex[:8]}"
    server = await asyncpg.connect(server_addresses[0])
    try:
        await server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'poor'")
        await server.execute(f"CREATE DATABASE {name} OWNER {name}")
        parts = urlsplit(database(server_addresses[0], name))
        dsn = urlunsplit(parts._replace(netloc=f"{name}:poor@{parts.netloc.rpartition('@')[2]}"))
        for _ in range(2):
            await apply_schema(dsn)
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval(
            "SELECT has_table_privilege($1, 'ledger', 'INSERT')", GATEWAY
        )
        assert not await connection.fetchval(
            "SELECT has_table_privilege($1, 'ledger', 'INSERT')", ADMIN
        )
        await connection.close()
    finally:
        await server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.execute(f"DROP ROLE IF EXISTS {name}")
        await server.close()
