"""The project as a whole: its documents name what there is, and nothing tells where it was written."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import _COMMANDS
from gateway.config import load
from gateway.settings import Config
from tests.documents import (
    DOCUMENTS,
    ROOT,
    by_name,
    code_in,
    every_document,
    first_cells,
    section,
    spans,
)

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()

# Where this project was written is nobody's business; nor are names that say nothing.
UNWANTED = re.compile(
    r"(?<!\w)/(?:work|root|tmp/w)/|\bworkplace\b|\bpypi\.org|\bpythonhosted\b"
    r"|\b(?:design|style)\.md\b|\bprototypes?\b|\bhelpers?\b",
    re.IGNORECASE,
)
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


# Links and commands


@every_document
def test_every_link_within_the_project_leads_somewhere(document: Path):
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    local = [target for target in targets if not target.startswith(("https://", "mailto:"))]
    missing = [each for each in local if not (document.parent / each.partition("#")[0]).exists()]
    assert not missing


def test_the_readme_leads_to_every_document():
    reached = {
        (ROOT / target).resolve()
        for target in re.findall(r"\]\(([^)\s#]+)", README)
        if ":" not in target
    }
    one_is_enough = {path for path in DOCUMENTS if path.parent.name == "decisions"}
    assert reached & one_is_enough
    assert {*DOCUMENTS} - one_is_enough - {ROOT / "README.md"} <= reached


def test_its_first_line_installs_what_is_needed():
    command = re.match(r"`apt-get install ([^`]+)`", README)
    assert command
    assert {"python3", "python3-venv", "make"} <= set(command[1].split())
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f"Python {needed.removeprefix('>=')}" in README.partition("\n")[0]


@every_document
def test_every_make_target_exists(document: Path):
    named = {
        target
        for code in code_in(document.read_text())
        for target in re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code)
    }
    assert named <= make_targets()


def test_the_readme_lists_every_make_target():
    listed = first_cells(section(README, "## Commands"))
    assert {
        each.split()[-1] for each in spans(listed) if each.startswith("make ")
    } == make_targets()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE))


@every_document
def test_every_command_of_tollhouse_exists(document: Path):
    named = {
        command
        for code in code_in(document.read_text())
        for command in re.findall(r"(?:^|/|\s)tollhouse ([a-z][a-z-]*)", code)
    }
    assert named - {"cd"} <= set(_COMMANDS)


# Settings


@every_document
def test_every_setting_exists(document: Path):
    unknown = []
    for code in code_in(document.read_text()):
        for name, setting in re.findall(r"TOLLHOUSE_([A-Z]+)__([A-Z0-9_]+)", code):
            unknown += (
                [] if is_setting(name.lower(), setting.lower().removesuffix("_file")) else [code]
            )
        dotted = re.fullmatch(r"([a-z]+)\.([a-z0-9_]+)(?: = .+)?", code)
        if dotted and dotted[1] in Config.model_fields and not is_module(*dotted.groups()):
            unknown += [] if is_setting(*dotted.groups()) else [code]
        table = re.fullmatch(r"\[\[?([a-z]+)[].].*", code)
        unknown += [code] if table and table[1] not in Config.model_fields else []
    assert not unknown


def is_module(package: str, name: str) -> bool:
    place = ROOT / package / name
    return place.is_dir() or place.with_suffix(".py").is_file()


def is_setting(name: str, setting: str) -> bool:
    field = Config.model_fields.get(name)
    return field is not None and setting in getattr(field.annotation, "model_fields", {})


def test_every_section_of_the_configuration_is_listed():
    text = (ROOT / "docs/configuration.md").read_text()
    listed = re.findall(
        r"^\| `\[+([a-z]+)", section(text, "## Where settings come from"), re.MULTILINE
    )
    assert listed == list(Config.model_fields)


@every_document
def test_every_configuration_shown_is_taken(document: Path, tmp_path: Path):
    for number, shown in enumerate(
        re.findall(r"```toml\n(.*?)```", document.read_text(), re.DOTALL)
    ):
        file = tmp_path / f"{number}.toml"
        file.write_text(shown)
        load({}, str(file))


# The project


def test_the_changelog_is_about_this_version():
    newest = re.search(
        r"^## \[(?:Unreleased\] \()?(\d[^\])]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest
    assert newest[1] == __version__


def test_decisions_are_numbered_and_complete():
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{n + 1:04}" for n in range(len(decisions))]
    for path in decisions:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} ")
        assert re.search(r"^\*\*Status\*\*: ", text, re.MULTILINE)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
            "What would change our mind",
        ]


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Everything that is, or is about to be, in the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout: nothing says what belongs to the project")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_tells_where_it_was_written(files: list[Path]):
    found = []
    for path in files:
        text = path.read_text(errors="replace")
        # This file has to name them, and what is fetched is not ours.
        if path != Path(__file__) and path.parent.name != "vendor":
            found += [(by_name(path), hit[0]) for hit in UNWANTED.finditer(text)]
    assert not found


def test_no_module_has_a_name_that_says_nothing(files: list[Path]):
    words = {path: set(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    assert not [by_name(path) for path in files if words[path] & VAGUE_NAMES]
