"""`python -m bench.posting`: how many rows a second one worker's way to Postgres takes.

Starts an embedded Postgres with its durable settings and posts rows of a few accounts through `LedgerStore`, in batches
as the poster makes them. Prints rows/s, and exits with 1 where the ledger does not have each row once.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.relay.posting import BATCH
from gateway.relay.record import RequestIds, instant_text, ledger_constant
from gateway.store.charges import COLUMNS, Charge
from gateway.store.ledger import LedgerStore
from gateway.store.postgres import apply_schema

_ACCOUNTS = 8
_TOKENS_PER_ACCOUNT = 4
_AMOUNT = 1_000


def main() -> int:
    """Run it; the exit status is 1 where the ledger is not what was posted."""
    parser = argparse.ArgumentParser(prog="python -m bench.posting", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="default 200,000")
    parser.add_argument(
        "--batch", type=int, default=BATCH, help=f"rows of a batch, default {BATCH}"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory:
        Path(directory).chmod(0o711)  # started by root, Postgres runs as a user who walks here
        with StateDirectory.open(Path(directory) / "state") as state:
            server = EmbeddedPostgres(state)
            try:
                return asyncio.run(_post(server.start(), options.rows, options.batch))
            finally:
                server.stop()


async def _post(dsn: str, count: int, batch: int) -> int:
    await apply_schema(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute(_PEOPLE, _ACCOUNTS, _TOKENS_PER_ACCOUNT)
    ledger = LedgerStore(dsn, statement_timeout_s=30)
    charges = _charges(count)
    begin = time.perf_counter()
    for start in range(0, count, batch):
        await ledger.post_new(charges[start : start + batch])
    took_s = time.perf_counter() - begin
    await ledger.close()
    rows, used = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM ledger), (SELECT sum(used) FROM account)"
    )
    await connection.close()
    if (rows, used) != (count, count * _AMOUNT):
        print(f"posted {count} rows, the ledger has {rows} and {used} used", file=sys.stderr)
        return 1
    print(f"posting: {count:,} rows in {took_s:.1f} s, {count / took_s:,.0f} rows/s")
    return 0


_PEOPLE = """
WITH a AS (
  INSERT INTO account (name, granted) SELECT 'bench', 1e15 FROM generate_series(1, $1::int) RETURNING id
), u AS (
  INSERT INTO "user" (username, account_id, group_id) SELECT 'bench' || id, id, 1 FROM a RETURNING id, account_id
), m AS (
  INSERT INTO member (account_id, user_id) SELECT account_id, id FROM u
), s AS (
  INSERT INTO subscription (account_id, group_id) SELECT id, 1 FROM a
)
INSERT INTO token (account_id, user_id, name) SELECT account_id, id, 'bench' FROM u, generate_series(1, $2::int)
"""


def _charges(count: int) -> list[Charge]:
    ids, now = RequestIds(), time.time()
    made = []
    for n in range(count):
        account = 1 + n % _ACCOUNTS
        token = 1 + n % (_ACCOUNTS * _TOKENS_PER_ACCOUNT)
        request_id = ids.next(now + n / 10_000)
        account_id, token_id, user_id, group_id, model = ledger_constant(
            account, token, account, 1, "bench-model"
        ).split(b"\t")
        fields = dict.fromkeys(COLUMNS, b"0") | {
            "request_id": request_id,
            "kind": b"c",
            "account_id": account_id,
            "token_id": token_id,
            "user_id": user_id,
            "group_id": group_id,
            "model": model,
            "upstream": b"openai",
            "dialect": b"openai",
            "route": b"chat_completions",
            "status": b"200",
            "started_at": instant_text(now),
            "ttfb_ms": b"12",
            "duration_ms": b"345",
            "address": b"127.0.0.1",
            "input_tokens": b"123",
            "output_tokens": b"45",
            "amount": b"%d" % _AMOUNT,
            "estimated": b"f",
            "anomaly": b"\\N",
            "end_user": b"\\N",
            "tags": b"\\N",
            "from_console": b"f",
        }
        line = b"\t".join(fields[name] for name in COLUMNS) + b"\n"
        made.append(Charge(request_id, account, line))
    return made


if __name__ == "__main__":
    sys.exit(main())
