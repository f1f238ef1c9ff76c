"""What the command line shows: texts, tables, completion; and what it does not import to say its version."""

import subprocess
import sys
from decimal import Decimal

import pytest
from rich.text import Text

from gateway.cli import _parser
from gateway.commands import tables, texts
from gateway.commands.completion import script
from gateway.commands.errors import printable
from tests.documents import ROOT


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("5", "$5.00"),
        ("1234.5", "$1,234.50"),
        ("0.000002", "$0.000002"),
        ("-0.25", "-$0.25"),
    ],
)
def test_dollars_are_shown_exactly_with_two_decimals_at_least(amount, shown):
    assert texts.dollars(Decimal(amount)) == shown


def test_what_others_wrote_cannot_steer_the_terminal():
    assert printable("a\x1b[31mb\x07\r\u202ec\nd é 世") == "a\\x1b[31mb\\x07\\r\\u202ec\nd é 世"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_table_has_all_of_its_cells_on_a_narrow_terminal(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    names = ("Name", "Dialect", "Base URL", "Models", "Used", "Left")
    row = ("ant", "anthropic", "http://127.0.0.1:18090/g/v1beta", "claude-*", "$0.020322", "none")
    tables.show_table(names, [row], right=("Used", "Left"))
    lines = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert max(map(len, lines)) <= columns
    told = "".join("".join(lines).split())
    assert "…" not in told
    # Of a cell in several lines the first is looked for: figures stand in one.
    assert all(cell in told for cell in ("Name", "ant", "anthrop", "http:", "$0.020322", "none"))


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        ({"metric": "requests", "window": "5h", "limit": 1000}, "1,000 requests per 5h"),
        (
            {"metric": "usd", "window": "month", "limit": Decimal("2.5"), "mode": "calendar"},
            "$2.50 per month, by the calendar (UTC)",
        ),
        (
            {"metric": "tokens", "window": "1m", "limit": 9, "burst": 3, "models": ["m"]},
            "9 tokens per 1m, 3 tokens at once, of m",
        ),
        (
            {"metric": "requests", "window": "1d", "limit": 5, "shadow": True},
            "5 requests per 1d, only in the shadow",
        ),
    ],
)
def test_a_limit_is_told_in_words(limit, shown):
    assert texts.limit(limit) == shown


def point(start: int, requests: int, nusd: int) -> dict:
    tokens = {"input_tokens": 1000 * requests, "output_tokens": 0}
    return {"start": start, "requests": requests, **tokens, "quota": 1, "amount_nusd": nusd}


def test_usage_is_shown_by_the_points_that_have_calls_and_their_total():
    day = 1_799_971_200
    data = {
        "interval": "day",
        "time_zone": "Europe/Berlin",
        "by": "model",
        "total": point(0, 3, 2_500_000),
        "series": [
            {"key": "m", "points": [point(day, 2, 1_500_000), point(day + 86_400, 0, 0)]},
            {"key": None, "points": [point(day, 0, 0), point(day + 86_400, 1, 1_000_000)]},
        ],
    }
    data["total"].pop("start")
    assert texts.usage(data) == (
        ["From", "Model", "Requests", "Input tokens", "Amount"],
        [
            ["2027-01-15", "m", "2", "2,000", "$0.0015"],
            ["2027-01-16", "others", "1", "1,000", "$0.001"],
            ["total", "", "3", "3,000", "$0.0025"],
        ],
    )
    empty = {"total": {"requests": 0, "amount_nusd": 0}, "series": [{"key": None, "points": []}]}
    assert texts.usage(data | empty)[1] == []


def test_a_decision_is_told_with_its_reason():
    denied = {"check": "model", "result": "deny", "reason": "model_not_allowed", "message": "No."}
    assert texts.decision(denied) == "deny: model_not_allowed: No."
    assert texts.decision({"result": "allow"}) == "allow"


def test_a_table_that_goes_elsewhere_than_a_terminal_is_plain_and_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    long = "a name that is longer than any terminal [bold]is wide[/bold] " * 3
    tables.show_table(("ID", "Name", "Used"), [("7", long, "$1.00")], right=("ID", "Used"))
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["ID", "Name", "Used"]
    assert row == f" 7  {long}  $1.00"
    tables.show_pairs([("Name", "a\x1b[1mb"), ("Models", "x\ny"), ("Empty", "")])
    assert capsys.readouterr().out == "Name    a\\x1b[1mb\nModels  x\n        y\nEmpty\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh"])
def test_every_shell_can_complete_actions_and_options(shell):
    made = script(_parser(), shell)
    for word in ("rotate", "add-quota-usd", "exhausted", "check-config"):
        assert word in made


def test_bash_takes_the_completion():
    done = subprocess.run(
        ["bash", "-n"], input=script(_parser(), "bash"), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_told_without_what_only_other_commands_need():
    code = (
        "import sys\nfrom gateway.cli import main\n"
        "try: main(['--version'])\nexcept SystemExit: pass\n"
        "print(sorted({'rich', 'aiohttp', 'shtab', 'pydantic', 'asyncpg', 'admin_api'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.splitlines()[1:] == ["[]"], done.stderr
