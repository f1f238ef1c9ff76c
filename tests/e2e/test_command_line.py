"""`tollhouse token` and `export` as people and scripts use them: processes, streams, terminals, exit statuses."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import asyncpg
import pytest

from admin_api.routes import ROUTES
from tests.e2e.product import (
    START_S,
    Product,
    calling,
    environment_of,
    folder,
    running,
    shown,
    tollhouse,
)

KEY = re.compile(r"sk-[0-9A-Za-z]{49}")
ASK = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
PATHS = {(route.method, re.sub(r"{id:[^}]*}", "{id}", route.path)) for route in ROUTES}


def needs(method: str, path: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif((method, path) not in PATHS, reason=f"no {method} {path} yet")


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running(TOLLHOUSE_GATEWAY__WORKERS="1") as started:
        yield started


def at_terminal(
    product: Product, *words: str, typed: str = "", interrupted_at: str = "", **settings: str
) -> tuple[int, str]:
    """Run a command on a terminal of its own; its exit status, and what stands there in the end.

    `interrupted_at`: what it prints when Ctrl-C is typed.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *words],
        cwd=product.place,
        env=environment_of(product.place, TERM="xterm", COLUMNS="100", **settings),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    output = b""
    while True:
        if not select.select([ours], [], [], START_S)[0]:
            process.kill()
            raise AssertionError(f"nothing happens any more behind {output.decode()!r}")
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        output += piece
        if interrupted_at and interrupted_at.encode() in output:
            interrupted_at = ""
            process.send_signal(signal.SIGINT)
    os.close(ours)
    return process.wait(START_S), output.decode()


async def audit_of(product: Product, action: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(product.ready["database_url"])
    try:
        return await connection.fetch(
            "SELECT actor, object_id, before FROM audit WHERE action = $1 ORDER BY id", action
        )
    finally:
        await connection.close()


# Tokens


async def test_a_key_that_was_made_by_a_script_opens_the_gateway_until_it_is_disabled(product, run):
    made = run("token", "create", "--name", "script", "--quota-usd", "0.5", "--models", "demo")
    assert made.returncode == 0, made.stderr
    key = made.stdout.removesuffix("\n")
    assert KEY.fullmatch(key)
    assert key not in made.stderr
    assert '"script": enabled, $0.50 left, never expires' in made.stderr
    async with calling(product) as caller:
        assert (await caller.chat(key, ASK))[0] == 200
        assert run("token", "disable", "script").returncode == 0
        assert await caller.chat(key, ASK) == (401, "key_disabled")
        assert run("token", "enable", "script").returncode == 0
        assert (await caller.chat(key, ASK))[0] == 200


def test_json_is_what_the_api_answers_and_nothing_else(run):
    created = run("token", "create", "--name", "json", "--quota-usd", "0.25", "--json")
    token = shown(created)
    assert (token["name"], token["quota_usd"], token["unlimited_quota"]) == ("json", 0.25, False)
    assert KEY.fullmatch(token["key"])
    page = shown(run("token", "list", "--keyword", "json", "--json"))
    assert [item["id"] for item in page["items"]] == [token["id"]]
    one = shown(run("token", "show", "json", "--json"))
    assert one["quota"]["token"]["granted_nusd"] == 250_000_000


def test_a_token_without_a_quota_is_unlimited_and_that_is_said(run):
    made = run("token", "create", "--name", "no quota")
    assert made.returncode == 0
    assert "No quota was given: unlimited." in made.stderr
    assert "unlimited" in run("token", "list", "--keyword", "no quota").stdout


def test_an_update_changes_what_is_given_and_adds_to_the_grant(run):
    words = ("--quota-usd", "1", "--metadata", "team=search", "--limit", "requests:5h:100")
    token = shown(run("token", "create", "--name", "kept", *words, "--json"))
    more = ("--add-quota-usd", "0.1", "--metadata", "by=eva")
    changed = shown(run("token", "update", "kept", *more, "--json"))
    assert changed["quota_usd"] == 1.1
    assert changed["metadata"] == {"team": "search", "by": "eva"}
    assert changed["limits"] == token["limits"]
    stale = run("token", "update", str(token["id"]), "--name", "x", "--if-version", "1")
    assert stale.returncode == 1
    assert "it is at version 2 and not 1" in stale.stderr
    assert run("token", "update", "kept", "--limit", "none", "--json").returncode == 0
    assert "Limits         none\n" in run("token", "show", "kept").stdout


def test_a_name_that_two_tokens_have_is_not_guessed(run):
    ids = [shown(run("token", "create", "--name", "twin", "--json"))["id"] for _ in range(2)]
    refused = run("token", "disable", "twin")
    assert refused.returncode == 1
    assert "2 tokens have this name; give the id:" in refused.stderr
    assert all(f"token {each} " in refused.stderr for each in ids)
    assert run("token", "disable", "twi").returncode == 1  # a part of a name is none


def test_what_is_deleted_is_asked_for_unless_told_otherwise(product, run):
    token = shown(run("token", "create", "--name", "gone", "--json"))
    refused = run("token", "delete", "gone")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "needs --yes" in refused.stderr
    status, output = at_terminal(product, "token", "delete", "gone", typed="no\n")
    assert status == 1
    assert f'This revokes token {token["id"]} "gone"' in output
    status, output = at_terminal(product, "token", "delete", "gone", typed="delete\n")
    assert status == 0, output
    assert run("token", "show", str(token["id"])).returncode == 1


def test_a_terminal_shows_a_framed_table_in_colours_unless_they_are_not_wanted(product):
    status, output = at_terminal(product, "token", "list")
    assert status == 0
    assert "───" in output
    assert "\x1b[32menabled" in output
    _, plain = at_terminal(product, "token", "list", NO_COLOR="1")
    assert "\x1b[3" not in plain


def test_a_terminal_shows_a_new_key_with_what_to_do_with_it(product):
    status, output = at_terminal(product, "token", "create", "--name", "shown")
    assert status == 0
    (key,) = KEY.findall(output)
    assert f"export OPENAI_API_KEY={key}" in output
    assert f"export OPENAI_BASE_URL={product.ready['gateway_url']}/v1" in output


def test_a_reader_who_has_enough_ends_the_command_quietly(product):
    command = f"{sys.executable} -m gateway.cli token list --json | true"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=product.place,
        env=environment_of(product.place),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert "Traceback" not in done.stderr


# Where the admin API is


def test_an_address_and_an_access_token_are_all_that_a_remote_command_needs(product):
    with folder() as elsewhere:
        remote = {
            "TOLLHOUSE_ADMIN_URL": product.ready["admin_url"],
            "TOLLHOUSE_ACCESS_TOKEN": product.ready["access_token"],
        }
        page = shown(tollhouse(elsewhere, "token", "list", "--json", **remote))
        assert page["total"] >= 1
        remote["TOLLHOUSE_ACCESS_TOKEN"] = "tht_" + "x" * 49
        declined = tollhouse(elsewhere, "token", "list", **remote)
        assert (declined.returncode, declined.stdout) == (1, "")
        assert "it is that of TOLLHOUSE_ACCESS_TOKEN" in declined.stderr
        assert remote["TOLLHOUSE_ACCESS_TOKEN"] not in declined.stderr
        remote["TOLLHOUSE_ADMIN_URL"] = "http://127.0.0.1:1"
        unreachable = tollhouse(elsewhere, "token", "list", **remote)
        assert (unreachable.returncode, unreachable.stdout) == (1, "")
        remote["TOLLHOUSE_ADMIN_URL"] = product.ready["gateway_url"]
        mistaken = tollhouse(elsewhere, "token", "list", **remote)
        assert mistaken.returncode == 1
        assert "Is it the address of the admin app" in mistaken.stderr
        nothing = tollhouse(elsewhere, "token", "list")
        assert nothing.returncode == 2
        assert "no `tollhouse run` is up" in nothing.stderr


def stores_of(product: Product) -> dict[str, str]:
    """Settings for a command that works on the product's stores without knowing the product."""
    return {
        "TOLLHOUSE_STATE": str(product.place / "another"),
        "TOLLHOUSE_POSTGRES__DSN": product.ready["database_url"],
        "TOLLHOUSE_REDIS__URL": product.ready["redis_url"],
        "TOLLHOUSE_PEPPER_FILE": str(product.state / "secrets/pepper"),
        "TOLLHOUSE_KEK_FILE": str(product.state / "secrets/kek"),
    }


async def test_on_configured_stores_a_command_brings_its_own_admin_app_and_leaves_nothing(
    product, run
):
    token = shown(run("token", "create", "--name", "direct", "--json"))
    stores = stores_of(product)
    before = len(await audit_of(product, "access_token.create"))
    assert run("token", "disable", "direct", **stores).returncode == 0
    async with calling(product) as caller:
        assert await caller.chat(token["key"], ASK) == (401, "key_disabled")
    declined = run("token", "show", "0", **stores)
    assert declined.returncode == 1, declined.stderr
    ended = await audit_of(product, "access_token.delete")
    made = (await audit_of(product, "access_token.create"))[before:]
    assert len(made) == 2
    assert [(row["actor"], row["object_id"]) for row in made] == [
        ("cli", row["object_id"]) for row in ended[-2:]
    ]
    del stores["TOLLHOUSE_PEPPER_FILE"]
    unusable = run("token", "list", **stores)
    assert unusable.returncode == 2
    assert "TOLLHOUSE_PEPPER_FILE must be given" in unusable.stderr


async def test_ctrl_c_at_a_question_ends_the_command_and_what_it_brought(product, run):
    assert run("token", "create", "--name", "kept anyway").returncode == 0
    words = ("token", "delete", "kept anyway")
    status, output = at_terminal(
        product, *words, interrupted_at="Type 'delete'", **stores_of(product)
    )
    assert status == 130
    assert output.splitlines()[-1] == "tollhouse: interrupted"
    made, ended = [
        await audit_of(product, f"access_token.{action}") for action in ("create", "delete")
    ]
    assert ended[-1]["object_id"] == made[-1]["object_id"]
    assert run("token", "show", "kept anyway").returncode == 0


# Calls that not every admin API has


@needs("POST", "/api/token/{id}/rotate")
async def test_a_rotated_key_takes_the_old_ones_place(product, run):
    old = shown(run("token", "create", "--name", "rotated", "--json"))["key"]
    rotated = run("token", "rotate", "rotated", "--overlap", "1h")
    assert rotated.returncode == 0, rotated.stderr
    new = rotated.stdout.removesuffix("\n")
    assert KEY.fullmatch(new)
    async with calling(product) as caller:
        assert [(await caller.chat(key, ASK))[0] for key in (old, new)] == [200, 200]
        assert run("token", "rotate", "rotated", "--end-overlap").returncode == 0
        assert [(await caller.chat(key, ASK))[0] for key in (old, new)] == [401, 200]


@needs("POST", "/api/token/find")
def test_a_key_on_standard_input_finds_its_token(product):
    made = shown(tollhouse(product.place, "token", "create", "--name", "lost", "--json"))
    found = tollhouse(product.place, "token", "find", "--json", typed=made["key"] + "\n")
    assert shown(found)["id"] == made["id"]
    assert made["key"] not in found.stdout
    unknown = tollhouse(product.place, "token", "find", typed="")
    assert unknown.returncode == 2


@needs("POST", "/api/token/{id}/key")
def test_a_key_that_was_not_kept_cannot_be_revealed(run):
    assert run("token", "create", "--name", "unkept").returncode == 0
    refused = run("token", "reveal", "unkept")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "rotate" in refused.stderr


@pytest.mark.skipif(
    ("POST", "/api/token/{id}/rotate") not in PATHS, reason="`count` comes with the rotation"
)
def test_many_tokens_are_made_at_once(run):
    made = run("token", "create", "--name", "many", "--count", "3")
    assert made.returncode == 0, made.stderr
    assert len({*KEY.findall(made.stdout)}) == 3
    assert len(made.stdout.splitlines()) == 3


@needs("POST", "/api/token/{id}/explain")
def test_a_refusal_is_explained(run):
    assert run("token", "create", "--name", "narrow", "--models", "other").returncode == 0
    explained = run("token", "explain", "narrow", "--model", "demo", "--ip", "10.0.0.1")
    assert explained.returncode == 0, explained.stderr
    assert "model_not_allowed" in explained.stdout
    assert "Decision: " in explained.stdout


@needs("GET", "/api/token/{id}/usage")
async def test_what_a_token_used_is_shown_by_day(product, run):
    token = shown(run("token", "create", "--name", "used", "--json"))
    async with calling(product) as caller:
        assert (await caller.chat(token["key"], ASK))[0] == 200
    product.until(lambda: shown(run("token", "show", "used", "--json"))["used_quota"] > 0)
    usage = run("token", "usage", "used", "--by", "model", "--start", "1d")
    assert usage.returncode == 0, usage.stderr
    assert "demo" in usage.stdout


@needs("GET", "/api/refusal/series")
async def test_what_a_token_was_refused_is_shown_by_reason(product, run):
    token = shown(run("token", "create", "--name", "off", "--json"))
    assert "Nothing was refused" in run("token", "refusals", "off").stderr
    assert run("token", "disable", "off").returncode == 0
    async with calling(product) as caller:
        assert await caller.chat(token["key"], ASK) == (401, "key_disabled")
    product.until(lambda: run("token", "refusals", "off").stdout != "")
    told = run("token", "refusals", "off", "--start", "2h")
    assert told.returncode == 0, told.stderr
    assert re.search(r"^key_disabled +1 *$", told.stdout, re.MULTILINE)
    (series,) = shown(run("token", "refusals", str(token["id"]), "--json"))["series"]
    assert series["total"]["refusals"] == 1


@needs("GET", "/api/log/export")
async def test_the_ledgers_rows_are_exported_to_a_file_that_is_whole(product, run):
    token = shown(run("token", "create", "--name", "exported", "--json"))
    async with calling(product) as caller:
        assert (await caller.chat(token["key"], ASK))[0] == 200
    product.until(lambda: shown(run("token", "show", "exported", "--json"))["used_quota"] > 0)
    done = run("export", "--all", "--format", "jsonl", "--output", "rows.jsonl")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    rows = [json.loads(line) for line in (product.place / "rows.jsonl").read_text().splitlines()]
    assert token["id"] in {row["token_id"] for row in rows}
    assert sorted(path.name for path in product.place.glob("*rows*")) == ["rows.jsonl"]
    assert run("export", "--all").stdout.count("\n") == len(rows) + 1
