"""The project's documents as tests read them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def by_name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=by_name)


def code_in(text: str) -> Iterator[str]:
    """What stands as code: spans, fenced blocks, indented lines."""
    fenced = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    yield from fenced.findall(text)
    rest = fenced.sub("", text)
    yield from re.findall(r"`([^`\n]+)`", rest)
    yield from re.findall(r"^ {4}(.+)$", rest, re.MULTILINE)


def section(text: str, heading: str) -> str:
    """From a heading to the next of its level or above."""
    level = heading.split(maxsplit=1)[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert found, heading
    return found[1]


def first_cells(text: str) -> list[str]:
    """The first column of the tables in a text, without their headings."""
    rows = re.findall(
        r"^\| (.+?) \|", re.sub(r"^\|.*\n\|[-|]+\n", "", text, flags=re.MULTILINE), re.MULTILINE
    )
    assert rows
    return rows


def spans(cells: list[str]) -> list[str]:
    return [span for cell in cells for span in re.findall(r"`([^`]+)`", cell)]


def sources(*suffixes: str) -> str:
    folders = (ROOT / "gateway", ROOT / "admin_api")
    files = [
        path for each in folders for path in sorted(each.rglob("*")) if path.suffix in suffixes
    ]
    return "\n".join(path.read_text() for path in files)
