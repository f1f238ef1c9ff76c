"""What the documents say of the code is what the code says: statuses, calls, fields, tables, keys, words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from admin_api.envelope import STATUS
from admin_api.openapi import path_of
from admin_api.routes import ROUTES
from admin_api.tokens.bodies import CreateBody, UpdateBody
from gateway.domain.key import create_key
from gateway.domain.webhook import secret_of
from gateway.relay.envelopes import WIRE
from gateway.store.people import ACCESS_TOKEN_PREFIX
from tests.documents import DOCUMENTS, ROOT, every_document, first_cells, section, sources, spans

ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
TOKEN_API = (ROOT / "docs/token-api.md").read_text()


# Refusals


def run_docs(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "tools/docs.py", *map(str, arguments)],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_pages_of_errors_and_metrics_are_what_the_tables_say():
    done = run_docs("--check")
    assert done.returncode == 0, done.stderr


def test_a_page_of_errors_that_differs_is_told(tmp_path: Path):
    page = tmp_path / "errors.md"
    page.write_text((ROOT / "docs/errors.md").read_text().replace("| 429 |", "| 430 |"))
    done = run_docs("--check", "--file", page)
    assert done.returncode == 1
    assert str(page) in done.stderr
    assert run_docs("--file", page).returncode == 0
    assert run_docs("--check", "--file", page).returncode == 0


@every_document
def test_a_status_beside_a_code_is_that_codes(document: Path):
    statuses = {str(reason): {wire.status} for reason, wire in WIRE.items()}
    for code, status in STATUS.items():
        statuses.setdefault(str(code), set()).add(status)
    wrong = [
        (status, code)
        for status, code in re.findall(r"\b([45]\d\d) `([a-z_]+)`", document.read_text())
        if int(status) not in statuses.get(code, {})
    ]
    assert not wrong


def test_every_anomaly_that_is_explained_is_written_somewhere():
    explained = section(OPERATIONS, "## Watching it").partition("`anomaly` is empty, or:")[2]
    told = set(re.findall(r"`([a-z_]+)` \(", explained))
    code = "\n".join(path.read_text() for path in sorted((ROOT / "gateway").rglob("*.py")))
    assert told
    assert not {name for name in told if f'"{name}"' not in code}


# The admin API


def test_the_admin_api_has_the_calls_that_are_listed():
    documents = [path.read_text() for path in DOCUMENTS if path.parent.name == "docs"]
    lists = [section(text, "## Calls") for text in documents if "\n## Calls\n" in text]
    listed = [call for each in lists for call in spans(first_cells(each))]
    assert sorted(listed) == sorted(f"{route.method} {path_of(route)}" for route in ROUTES)


def test_a_token_has_the_fields_that_are_listed():
    listed = spans(first_cells(section(TOKEN_API, "## Fields of a token")))
    assert len(listed) == len(set(listed))
    assert set(listed) == {*CreateBody.model_fields, *UpdateBody.model_fields}


# The architecture


def glossary() -> list[str]:
    return re.findall(r"^\| \*(\w+)\* \|", section(ARCHITECTURE, "## Words"), re.MULTILINE)


@pytest.mark.parametrize("word", glossary())
def test_every_word_of_the_glossary_is_used_in_the_code(word: str):
    assert re.search(rf"(?<![a-z]){word}(?![a-z])", sources(".py"))


def test_the_chain_is_the_list_in_the_code():
    told = re.findall(
        r"^ {4}(\w+) {2,}", section(ARCHITECTURE, "## The life of a call"), re.MULTILINE
    )
    assert len(told) > 8
    code = (ROOT / "gateway/app.py").read_text()
    listed = code[code.index("def chains(") : code.index("# fmt: on")]
    links = [*told[1:-1]]
    assert "identify=identify_route(" in code
    places = [re.search(rf"\b{link}(?=,|\()", listed) for link in links]
    assert None not in places
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts)
    named = set(re.findall(r"^ +(?:accounting\.\w+\.)?(\w+)(?:\(.*\))?, +#", listed, re.MULTILINE))
    assert named == {*links}


def test_the_tables_are_those_of_the_schema():
    told = spans(first_cells(section(ARCHITECTURE, "### Postgres")))
    schema = (ROOT / "schema.sql").read_text()
    made = re.findall(r'^CREATE TABLE "?(\w+)"? \(', schema, re.MULTILINE)
    assert sorted(told) == sorted(made)


def test_the_keys_and_scripts_are_those_of_the_quota_store():
    rows = spans(first_cells(section(ARCHITECTURE, "### Valkey")))
    kinds = {row.removeprefix("q:{sNNN}:")[0] for row in rows if row.startswith("q:{sNNN}:")}
    prepared = (ROOT / "gateway/store/prepared.py").read_text()
    one_of = re.search(r"`kind` is one of ([a-z, ]+)\.", prepared)
    assert one_of
    assert kinds == set(one_of[1].split(", "))
    scripts = {path.stem for path in (ROOT / "gateway/store/lua").glob("*.lua")}
    assert {row for row in rows if not row.startswith("q:")} == scripts


# The threat model


def test_every_test_that_the_threat_model_names_is_there():
    model = (ROOT / "docs/threat-model.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", model))
    tests = "\n".join(path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")))
    assert len(named) > 80
    assert not {name for name in named if f"def {name}(" not in tests}
    ids = re.findall(r"^\| ([KNC]\d\d) \|", model, re.MULTILINE)
    every = [
        f"{kind}{n:02}"
        for kind, last in (("K", 19), ("N", 24), ("C", 8))
        for n in range(1, last + 1)
    ]
    assert ids == every


def test_the_patterns_for_scanners_are_of_what_is_made():
    rows = section((ROOT / "SECURITY.md").read_text(), "## For secret scanners")
    patterns = re.findall(r"^\| (\w+).*?\| `(\S+)` \|$", rows, re.MULTILINE)
    key = create_key()
    made = {
        "key": key,
        "access": ACCESS_TOKEN_PREFIX + key.removeprefix("sk-"),
        "webhook": secret_of(bytes(range(32))),
    }
    assert {name for name, _ in patterns} == made.keys()
    for name, pattern in patterns:
        found = re.search(pattern, f'x = "{made[name]}"')
        assert found
        assert found[0] == made[name]


# Troubleshooting

TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text()


def test_troubleshooting_knows_every_code_that_somebody_can_meet():
    errors = (ROOT / "docs/errors.md").read_text()
    met = set(re.findall(r"^\| \d+ \| `(\w+)` .*\|$", errors, re.MULTILINE))
    met -= set(re.findall(r"^\| \d+ \| `(\w+)` .*\| Not used yet\. \|$", errors, re.MULTILINE))
    met |= {str(code) for code in STATUS}
    assert not met - set(re.findall(r"`([a-z_]+)`", TROUBLESHOOTING))


def test_troubleshooting_has_a_command_for_each_symptom():
    known = {"call", "admin", "chat", "grep", "curl", "tollhouse"}
    for row in re.findall(r"^\| (?!Symptom)(.+) \|$", TROUBLESHOOTING, re.MULTILINE):
        cells = row.split(" | ")
        assert len([cell for cell in cells if cell.strip()]) == 4, row
        commands = spans([cells[3]])
        assert "as above" in cells[3] or commands[0].split()[0] in known, row


def test_what_troubleshooting_calls_is_there():
    paths = {re.sub(r"{\w+}", "7", path_of(route)) for route in ROUTES}
    called = set(re.findall(r"`admin \"?(/[a-z0-9/]+)", TROUBLESHOOTING))
    assert called
    assert called <= paths
