"""`tollhouse upstream`, `model` and `group` as people and scripts use them, against the admin app."""

import asyncio
import json
import os
import sys

import pytest

from tests.openapi_run import served
from tests.upstream import ScriptedUpstream, refuse

KEY = "sk-provider-0123456789abcdef-wxyz"


@pytest.fixture
async def admin(postgres_dsn, valkey_url):
    async with served(postgres_dsn, valkey_url) as running:
        yield running


@pytest.fixture
async def provider():
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
def run(admin, tmp_path):
    """Runs a command; its exit status, standard output and standard error."""

    async def run_it(*words, typed="", **environment):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", *words),
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "TOLLHOUSE_ADMIN_URL": str(admin.client.make_url("")).rstrip("/"),
                "TOLLHOUSE_ACCESS_TOKEN": admin.credentials.access_token,
                **environment,
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate(typed.encode())
        return process.returncode, output.decode(), errors.decode()

    return run_it


async def test_a_provider_is_added_tested_and_removed(run, admin, provider):
    status, _, told = await run(
        *("upstream", "create", "local", "--base-url", provider.base_url),
        *("--allow-cidr", "127.0.0.0/8", "--model", "small=echo", "--api-key-env", "PROVIDER"),
        PROVIDER=KEY,
    )
    assert (status, told) == (0, "Made the upstream local, version 1.\n")
    status, shown, _ = await run("upstream", "show", "local", "--json")
    assert json.loads(shown)["api_key"] == "…wxyz"
    status, listed, _ = await run("upstream", "list")
    assert "small=echo  …wxyz  good" in listed
    status, tested, _ = await run("upstream", "test", "local", "--model", "small")
    assert (status, tested.splitlines()[1].split()[:3]) == (0, ["…wxyz", "good", "200"])
    status, models, _ = await run("upstream", "models", "local")
    assert models.splitlines()[1].split() == ["echo", "yes", "no"]
    provider.answer("", refuse(401, "no such key"))
    status, tested, told = await run("upstream", "test", "local")
    assert status == 1
    assert "no such key" in tested
    assert "does not answer GET /models as it should" in told
    typed = ("upstream", "update", "local", "--api-key-stdin", "--set", "idle_timeout_s=1.5")
    status, _, _ = await run(*typed, typed="sk-another-0123456789-abcd\n")
    assert json.loads((await run("upstream", "show", "local", "--json"))[1])["api_key"] == "…abcd"
    assert (await run("upstream", "delete", "local"))[0] == 2
    assert (await run("upstream", "delete", "local", "--yes"))[0] == 0


async def test_a_model_and_a_group_are_made_and_changed(run):
    model = ("model", "create", "org/x", "--input-usd", "0.05", "--output-usd", "0.20")
    assert (await run(*model))[0] == 0
    status, shown, _ = await run("model", "show", "org/x")
    assert "$0.05 input, $0.20 output" in " ".join(shown.split())
    stale = ("model", "update", "org/x", "--output-usd", "0.3", "--if-version", "7")
    status, _, told = await run(*stale)
    assert (status, "version" in told) == (1, True)
    group = (
        *("group", "create", "g", "--ratio", "1.5", "--users", "all", "--models", "org/x"),
        *("--limit", "requests:5h:100", "--quota-usd", "20", "--token-quota-usd", "2"),
    )
    status, made, told = await run(*group, "--json")
    assert json.loads(made)["subscription"] == {"quota_usd": 20}, told
    assert (await run("group", "update", "g", "--token-expires-in-days", "180"))[0] == 0
    defaults = json.loads((await run("group", "show", "g", "--json"))[1])["token_defaults"]
    assert (defaults["quota_usd"], defaults["expires_in_days"]) == (2, 180)
    status, listed, _ = await run("group", "list", "--source", "api")
    assert listed.splitlines()[1].split() == ["g", "api", "all", "1.5", "org/x", "*", "good"]
    status, _, told = await run("model", "delete", "org/x", "--yes")
    assert (status, "the group 'g' names it in models" in told) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("upstream", "create", "x", "--api-key-env", "NOT_SET"), "NOT_SET is not set, or empty"),
        (("upstream", "update", "x"), "nothing to change"),
        (("upstream", "update", "x", "--set", "weight"), "FIELD=JSON"),
        (("group", "create", "x", "--limit", "requests:5h"), "METRIC:WINDOW:LIMIT"),
    ],
)
async def test_wrong_use_is_told_before_anything_is_called(run, words, told):
    status, _, errors = await run(*words)
    assert status == 2
    assert told in errors
