"""`tollhouse`: the one command. Starts processes, and does locally what an operator needs a shell for.

Each command imports what it needs when it runs: all of it together takes a second, which other commands do without.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from gateway import __version__
from gateway.commands import import_arguments, people_arguments, wallet_arguments
from gateway.commands.arguments import add_completion, add_export, add_token
from gateway.commands.catalog_arguments import add_catalog

_REPLAY_TIMEOUT_S = 30
_INTERRUPTED = 130  # as shells say it: 128 and the signal


def main(arguments: list[str] | None = None) -> int:
    """Run a command; answers the exit status: 0 done, 1 could not be done, 2 wrong use or configuration, 130 Ctrl-C."""
    try:
        parser = _parser()
        given, rest = parser.parse_known_args(arguments)
        if rest and given.command not in {"gateway", "admin"}:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return _COMMANDS[given.command](given, rest)
    except KeyboardInterrupt:
        print("\ntollhouse: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except Exception as error:
        if (status := _told(error)) is None:
            raise
        return status


def _told(error: Exception) -> int | None:
    """Tell what a command could not do; the exit status, or None for what nobody expects."""
    from gateway.config import ConfigError
    from gateway.domain.errors import StoreUnavailable
    from gateway.embedded.errors import EmbeddedError
    from gateway.store.bootstrap import UnknownUser
    from gateway.store.postgres import SchemaError

    if isinstance(error, ConfigError):
        for problem in error.problems:
            print(f"tollhouse: {problem}", file=sys.stderr)
        return 2
    if isinstance(error, EmbeddedError | SchemaError | StoreUnavailable | UnknownUser):
        print(f"tollhouse: {error}", file=sys.stderr)
        return 1
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tollhouse", description="A self-hosted gateway for LLM APIs."
    )
    parser.add_argument("--version", action="version", version=f"tollhouse {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="everything on this machine: stores, workers, admin app")
    _add_config(run)
    commands.add_parser("gateway", help="one gateway worker (as replicas run it)", add_help=False)
    commands.add_parser("admin", help="the admin app alone", add_help=False)
    _add_config(
        commands.add_parser("check-config", help="read the configuration, name every problem")
    )
    _add_config(
        commands.add_parser("migrate", help="make the tables, or bring them to this version")
    )
    _add_config(
        commands.add_parser(
            "replay-outbox",
            help="post the outbox again, after Postgres came back without its last commits",
        )
    )
    _add_config(
        commands.add_parser(
            "reseal", help="seal anew with TOLLHOUSE_KEK what TOLLHOUSE_KEK_PREVIOUS sealed"
        )
    )
    peppers = commands.add_parser(
        "pepper", help="how many keys still rest on TOLLHOUSE_PEPPER_PREVIOUS"
    )
    peppers.add_argument("--json", action="store_true", help="one JSON object")
    _add_config(peppers)
    books = commands.add_parser("audit", help="prove that the books add up, or name what does not")
    books.add_argument("--json", action="store_true", help="the report as one JSON object")
    books.add_argument(
        "--account", type=int, metavar="ID", help="tell of this account alone; everything is read"
    )
    _add_config(books)
    for parser_of_one in people_arguments.add_user(commands):
        _add_config(parser_of_one)
    people_arguments.add_access_token(commands)
    people_arguments.add_audit_log(commands)
    add_token(commands)
    wallet_arguments.add_wallets(commands)
    add_catalog(commands)
    import_arguments.add_arguments(
        commands.add_parser("import", help="other gateways' keys, which go on working")
    )
    add_export(commands)
    reset = commands.add_parser(
        "reset", help="delete the state directory of `tollhouse run`, after asking"
    )
    reset.add_argument("--yes", action="store_true", help="do not ask")
    add_completion(commands)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", metavar="FILE", help="instead of TOLLHOUSE_CONFIG or ./config.toml"
    )


def _run(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.supervisor import Supervisor

    return asyncio.run(Supervisor(os.environ, given.config).run())


def _gateway(_: argparse.Namespace, rest: list[str]) -> int:
    from gateway import worker

    return worker.main(rest)


def _admin(_: argparse.Namespace, rest: list[str]) -> int:
    # A process of its own: nothing of the admin app is imported here.
    os.execv(sys.executable, [sys.executable, "-m", "admin_api", *rest])  # noqa: S606


def _check_config(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.config import load

    loaded = load(os.environ, given.config)
    for notice in loaded.notices:
        print(notice)
    names = (
        ", ".join(upstream.name for upstream in loaded.config.upstreams)
        or "none (the demo would run)"
    )
    print(f"{loaded.path or 'defaults and environment'}: good. Upstreams: {names}.")
    return 0


def _migrate(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.config import load
    from gateway.store.postgres import apply_schema
    from gateway.stores_in_use import database_in_use

    loaded = load(os.environ, given.config)
    retention_months = loaded.config.ledger.retention_months
    asyncio.run(apply_schema(database_in_use(loaded), retention_months=retention_months))
    print("The database has the tables of this version.")
    return 0


def _replay_outbox(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.config import load
    from gateway.relay.posting import Poster
    from gateway.relay.replay import replay_outbox
    from gateway.store.ledger import LedgerStore
    from gateway.store.pipeline import Pipeline
    from gateway.store.quota import QuotaStore
    from gateway.stores_in_use import database_in_use, quota_store_in_use

    loaded = load(os.environ, given.config)
    dsn, url = database_in_use(loaded), quota_store_in_use(loaded)

    async def replay() -> int:
        ledger = LedgerStore(dsn, statement_timeout_s=_REPLAY_TIMEOUT_S)
        try:
            async with Pipeline(url, operation_timeout_s=_REPLAY_TIMEOUT_S) as pipeline:
                quota = QuotaStore(pipeline)
                return await replay_outbox(quota, Poster(ledger, quota, interval_s=1))
        finally:
            await ledger.close()

    print(f"Posted {asyncio.run(replay())} events; those that the ledger had changed nothing.")
    return 0


def _reseal(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.config import load, read_seal_keys
    from gateway.store.postgres import open_pool
    from gateway.store.resealing import reseal
    from gateway.store.seal import Seal
    from gateway.stores_in_use import database_in_use, environment_in_use

    loaded = load(os.environ, given.config)
    seal = Seal(*read_seal_keys(environment_in_use(loaded)))
    dsn = database_in_use(loaded)

    async def seal_anew() -> tuple[int, int]:
        pool = await open_pool(dsn, size=1, statement_timeout_s=60)
        try:
            return await reseal(pool, seal)
        finally:
            await pool.close()

    done, lost = asyncio.run(seal_anew())
    print(f"Sealed {done} keys anew.")
    if lost:
        print(f"{lost} are sealed with a key that is neither of the two; nothing was done to them.")
    return 1 if lost else 0


def _pepper(given: argparse.Namespace, rest: list[str]) -> int:
    from gateway.commands.pepper import pepper

    return pepper(given, rest)


def _import(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.commands import importing

    return importing.run(given)


def _audit(given: argparse.Namespace, rest: list[str]) -> int:
    from gateway.audit_command import audit

    return audit(given, rest)


def _user(given: argparse.Namespace, rest: list[str]) -> int:
    own = {"password": _user_password, "first": _user_first}.get(given.action)
    return own(given) if own is not None else _people(given, rest)


def _people(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.commands import people

    return people.run(given)


def _user_password(given: argparse.Namespace) -> int:
    from gateway.config import load
    from gateway.store.bootstrap import new_one_time_password
    from gateway.store.postgres import open_pool
    from gateway.stores_in_use import database_in_use

    dsn = database_in_use(load(os.environ, given.config))

    async def make() -> str:
        pool = await open_pool(dsn, size=1, statement_timeout_s=10)
        try:
            return await new_one_time_password(pool, given.username)
        finally:
            await pool.close()

    password = asyncio.run(make())
    if given.json:
        print(json.dumps({"username": given.username, "password": password}))
    else:
        print(f"One-time password of {given.username}: {password}")
    return 0


def _user_first(given: argparse.Namespace) -> int:
    from gateway.config import load
    from gateway.store.bootstrap import Credentials, bootstrap
    from gateway.store.postgres import check_schema, open_pool
    from gateway.stores_in_use import database_in_use, pepper_in_use

    loaded = load(os.environ, given.config)
    dsn, pepper = database_in_use(loaded), pepper_in_use(loaded)

    async def make() -> Credentials | None:
        async with await open_pool(dsn, size=1, statement_timeout_s=10) as pool:
            await check_schema(pool)
            return await bootstrap(pool, pepper, loaded.config)

    made = asyncio.run(make())
    if made is None:
        print(
            "tollhouse: there are users already; `tollhouse user password NAME` lets one in again",
            file=sys.stderr,
        )
        return 1
    if given.json:
        print(json.dumps(dataclasses.asdict(made)))
        return 0
    print(f"The first administrator is {made.username}. What follows is shown this once.")
    print(f"One-time password: {made.password}")
    print(f"Access token:      {made.access_token}")
    print(f"First key ($1):    {made.key}")
    return 0


def _reset(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.embedded.errors import StateError
    from gateway.embedded.state import StateDirectory
    from gateway.stores_in_use import state_path

    path = state_path()
    if not path.exists():
        print(f"{path} does not exist: nothing to delete.")
        return 0
    if not (path / "lock").exists():
        raise StateError(
            f"{path} holds no lock file, so it is no state directory: nothing was deleted"
        )
    with StateDirectory.open(path):  # refuses while it is in use
        if not given.yes and not _asked(path):
            print("Nothing was deleted.")
            return 1
        shutil.rmtree(path)
    print(f"{path} is deleted.")
    return 0


def _token(given: argparse.Namespace, rest: list[str]) -> int:
    from gateway.commands import tokens

    return tokens.run(given, rest)


def _wallets(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.commands import wallets

    return wallets.run(given)


def _catalog(given: argparse.Namespace, rest: list[str]) -> int:
    from gateway.commands import catalog

    return catalog.run(given, rest)


def _export(given: argparse.Namespace, rest: list[str]) -> int:
    from gateway.commands import export

    return export.run(given, rest)


def _completion(given: argparse.Namespace, _: list[str]) -> int:
    from gateway.commands.completion import script

    print(script(_parser(), given.shell))
    return 0


def _asked(path: Path) -> bool:
    from gateway.commands.running import ask

    print(f"This deletes {path}: all keys, accounts and the ledger in it.", flush=True)
    return ask("Type 'reset' to go on:") == "reset"


_COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], int]] = {
    "run": _run,
    "gateway": _gateway,
    "admin": _admin,
    "check-config": _check_config,
    "migrate": _migrate,
    "replay-outbox": _replay_outbox,
    "reseal": _reseal,
    "pepper": _pepper,
    "audit": _audit,
    "import": _import,
    "user": _user,
    "access-token": _people,
    "audit-log": _people,
    "reset": _reset,
    "token": _token,
    "account": _wallets,
    "grant": _wallets,
    "redeem": _wallets,
    "upstream": _catalog,
    "model": _catalog,
    "group": _catalog,
    "export": _export,
    "completion": _completion,
}

if __name__ == "__main__":
    sys.exit(main())
