"""What the database itself refuses: to change what was written of who did what."""

import asyncpg
import pytest

ROW = "INSERT INTO audit (actor, action, object_kind, object_id) VALUES ('user:1', 'token.delete', 'token', '7')"


@pytest.fixture
async def owner(postgres_dsn: str):
    """The owner of the tables, here a superuser."""
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


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
