"""The console's reader of events, where node is at hand; `tests/browser` tries it in a browser as well."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.documents import ROOT
from tests.events import CASES, TRY

EVENTS = ROOT / "admin_api/console/web/core/events.js"
NODE = shutil.which("node")
# As a data: address it is a module for every version of Node, whatever the directory's package says.
SCRIPT = """
const { source, cases } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
import(`data:text/javascript,${encodeURIComponent(source)}`)
  .then((events) => (TRY)(events, cases))
  .then((wrong) => console.log(JSON.stringify(wrong)));
""".replace("TRY", TRY.strip())


@pytest.mark.skipif(NODE is None, reason="there is no node here; make browser tries the same")
def test_a_stream_is_read_as_its_events_wherever_it_is_cut():
    assert NODE is not None
    assert read(EVENTS, CASES) == []


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_a_wrong_reading_is_noticed():
    (wrong, *_) = read(EVENTS, [("data: one\n\n", ["two"])])
    assert wrong[2] == ["one"]


def read(module: Path, cases: list[tuple[str, list[str]]]) -> list[list[object]]:
    given = json.dumps({"source": module.read_text(encoding="utf-8"), "cases": cases})
    command = [str(NODE), "--eval", SCRIPT]
    told = subprocess.run(
        command, input=given, check=True, stdout=subprocess.PIPE, text=True, timeout=60
    )
    found: list[list[object]] = json.loads(told.stdout)
    return found
