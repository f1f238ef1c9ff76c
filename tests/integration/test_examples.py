"""The documents' examples, in a shell and in Python, are there for every call and do what they say."""

import asyncio
import contextlib
import os
import re
import sys

import pytest

from admin_api.context import SERVICES
from admin_api.openapi import path_of
from admin_api.routes import ROUTES
from gateway.store.links import write_link
from gateway.store.people import set_password
from gateway.store.postgres import transaction
from tests.admin import PEPPER, SYSTEM
from tests.documents import ROOT, section
from tests.openapi_run import served
from tests.upstream import ScriptedUpstream

DOCUMENTS = {
    name: section((ROOT / f"docs/{name}.md").read_text(), "## Examples")
    for name in ("token-api", "people", "wallets", "catalog", "warnings", "console")
}
"""Those that have examples of calls; each is run by itself, with a token `$ID` of nobody else's."""
EXAMPLES = "\n".join(DOCUMENTS.values())
OF_TOKENS = DOCUMENTS["token-api"]
every_document = pytest.mark.parametrize(
    "document", [each for each in DOCUMENTS if each != "token-api"]
)
PRESETS = (ROOT / "docs/presets.md").read_text()
PASSWORD = "three plain words"


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_call_has_an_example_of_both_kinds():
    headings = re.findall(r"^### `(.+)`$", EXAMPLES, re.MULTILINE)
    assert sorted(headings) == sorted(f"{route.method} {path_of(route)}" for route in ROUTES)
    for heading in headings:
        own = section(EXAMPLES, f"### `{heading}`")
        assert blocks(own, "sh"), heading
        assert blocks(own, "python"), heading


@pytest.fixture
async def admin(postgres_dsn, valkey_url):
    async with served(postgres_dsn, valkey_url) as running:
        hashed = await running.client.app[SERVICES].passwords.hash(PASSWORD)
        await set_password(running.pool, SYSTEM, 1, hashed, once=False)
        yield running


@pytest.fixture
async def provider():
    async with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture
def run(admin, provider, tmp_path):
    """Runs a command where the examples' variables are set; what it printed."""
    (tmp_path / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")

    async def run_it(*command, **variables):
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "CURL_HOME": str(tmp_path),
                "TOLLHOUSE_ADMIN_URL": str(admin.client.make_url("")).rstrip("/"),
                "TOLLHOUSE_ACCESS_TOKEN": admin.credentials.access_token,
                "TOLLHOUSE_PASSWORD": PASSWORD,
                "PROVIDER_URL": provider.base_url,
                **variables,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert process.returncode == 0, output.decode()
        return output.decode()

    return run_it


async def test_the_shells_examples_of_every_call_work(admin, run):
    made = await admin.create()
    script = "\n".join(blocks(OF_TOKENS, "sh"))
    output = await run("bash", "-euo", "pipefail", "-c", script, ID=str(made["id"]))
    assert '"key":"sk-' in output
    assert "my app, renamed" in output
    assert (await admin.call("GET", f"/api/token/{made['id']}")).status == 404


async def test_pythons_examples_of_every_call_work(admin, run):
    output = await run(sys.executable, "-c", "\n".join(blocks(OF_TOKENS, "python")))
    assert "500000 quota units in a dollar" in output
    key = re.search(r"not shown again: (sk-\w{49})$", output, re.MULTILINE)
    assert key


@pytest.fixture
async def new_links(admin):
    """Makes what letters of a user with an address hold, as variables of the examples."""
    await admin.pool.execute("""UPDATE "user" SET email = 'admin@example.com' WHERE id = 1""")
    user_id, _ = await admin.user("linked")
    email = "linked@example.com"
    await admin.pool.execute('UPDATE "user" SET email = $2 WHERE id = $1', user_id, email)

    async def make():
        async with transaction(admin.pool) as connection:
            return {
                purpose.upper(): await write_link(connection, purpose, user_id, email, PEPPER)
                for purpose in ("reset", "verify")
            }

    return make


@every_document
async def test_a_documents_examples_work(document, admin, run, new_links):
    made = await admin.create()
    for language, command in (
        ("sh", ("bash", "-euo", "pipefail", "-c")),
        ("python", (sys.executable, "-c")),
    ):
        script = "\n".join(blocks(DOCUMENTS[document], language))
        await run(*command, script, ID=str(made["id"]), **await new_links())


@pytest.mark.parametrize(
    "product", re.findall(r"^## Coming from (\w[\w ]*)$", PRESETS, re.MULTILINE)
)
async def test_a_presets_examples_work(product, admin, run):
    shown = section(PRESETS, f"## Coming from {product}")
    (shell,) = blocks(shown, "sh")
    (python,) = blocks(shown, "python")
    assert len(blocks(shown, "toml")) == 1
    await run("bash", "-euo", "pipefail", "-c", shell)
    await run(sys.executable, "-c", python)
    made = (await admin.call("GET", "/api/token/")).data
    assert made["total"] >= 3  # that of the first start, the shell's and Python's


def test_there_are_four_presets():
    assert len(re.findall(r"^## Coming from ", PRESETS, re.MULTILINE)) == 4
