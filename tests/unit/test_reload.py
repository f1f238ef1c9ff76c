"""What of a changed configuration is taken over, what is told, and that it is all or nothing."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.catalog_settings import ModelSettings
from gateway.config import ConfigError, Loaded, load
from gateway.domain.errors import StoreUnavailable
from gateway.reload import (
    ADMIN_ONLY,
    CATALOG_SECTIONS,
    RELOADABLE,
    changed_settings,
    needing_restart,
    take_over,
)
from gateway.settings import Config
from tests.documents import ROOT, section

EVERY = {
    f"{name}.{setting}"
    for name, field in Config.model_fields.items()
    if name not in CATALOG_SECTIONS
    for setting in field.annotation.model_fields  # type: ignore[union-attr]
}
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


def test_what_can_be_taken_over_is_there():
    assert RELOADABLE <= EVERY
    assert set(Config.model_fields) >= CATALOG_SECTIONS


def test_the_document_names_what_is_taken_over_and_nothing_else():
    told = section(CONFIGURATION, "## While it runs")
    table, _, _ = told.partition("\n\nEverything else")
    named = set(re.findall(r"`(gateway\.\w+)`", table))
    assert named == RELOADABLE
    assert set(re.findall(r"`\[+(\w+)", table)) == CATALOG_SECTIONS


def test_what_differs_is_named_by_section_and_setting():
    before = Config.model_validate({"gateway": {"drain_s": 5}, "console": {"name": "A"}})
    after = Config.model_validate(
        {"gateway": {"workers": 3}, "console": {"name": "B"}, "models": [{"name": "m"}]}
    )
    changed = changed_settings(before, after)
    assert changed == ["gateway.workers", "gateway.drain_s", "console.name", "models"]
    assert needing_restart(changed) == ["gateway.workers", "console.name"]
    assert needing_restart(changed, ADMIN_ONLY) == ["gateway.workers"]
    assert changed_settings(before, before) == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "config.toml"
    made.write_text('[[models]]\nname = "m"\n')
    return made


class Process:
    """A process that goes by a file: `went_by` are the configurations that it was made to adopt."""

    def __init__(self, file: Path) -> None:
        self.told: list[tuple[int, str]] = []
        self.went_by: list[Loaded] = []
        self.error: Exception | None = None
        self.file = file
        self._read: Callable[[], Loaded] = lambda: load({}, str(file))
        self.loaded = self._read()

    def write(self, text: str) -> None:
        """Change the file."""
        self.file.write_text(text)

    async def hang_up(self) -> bool:
        """Whether the file was taken over."""
        before = self.loaded
        self.loaded = await take_over(
            before, self._read, self._adopt, tell=lambda *each: self.told.append(each)
        )
        return self.loaded is not before

    async def _adopt(self, now: Loaded) -> None:
        if self.error is not None:
            raise self.error
        self.went_by.append(now)


async def test_a_good_file_is_taken_over_and_what_changed_is_named(file: Path):
    process = Process(file)
    process.write('[[models]]\nname = "n"\n[gateway]\nlame_duck_s = 5\n')
    assert await process.hang_up()
    (now,) = process.went_by
    assert now.config.models == (ModelSettings(name="n"),)
    assert process.told == [
        (logging.INFO, "the configuration was taken over; changed: gateway.lame_duck_s, models")
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gateway", "is not TOML"),
        ("[gateway]\nworkrs = 2\n", "gateway.workrs: there is no such setting"),
        ('[gateway]\nlisten = "0.0.0.0:80"\n', "gateway.listen: takes a restart"),
        ('[gateway]\ndrain_s = 1\n[redis]\nurl = "redis://other"\n', "redis.url: takes a restart"),
    ],
)
async def test_a_file_that_cannot_be_taken_over_changes_nothing_and_the_log_says_why(
    file: Path, text: str, told: str
):
    process = Process(file)
    process.write(text)
    assert not await process.hang_up()
    assert process.went_by == []
    assert [level for level, _ in process.told] == [logging.ERROR]
    assert "nothing is changed" in process.told[0][1]
    assert told in process.told[0][1]


async def test_a_file_that_is_gone_changes_nothing(file: Path):
    process = Process(file)
    process.file.unlink()
    assert not await process.hang_up()
    assert "cannot be read" in process.told[0][1]


@pytest.mark.parametrize(
    "error", [ConfigError(["models.n: the admin API made one"]), StoreUnavailable("no Postgres")]
)
async def test_what_the_process_cannot_adopt_changes_nothing(file: Path, error: Exception):
    process = Process(file)
    process.error = error
    process.write('[[models]]\nname = "n"\n')
    assert not await process.hang_up()
    assert str(error) in process.told[0][1]
    process.error = None
    assert await process.hang_up(), "the next time it is tried again"


async def test_an_upstream_without_its_key_is_told_and_left_out(file: Path):
    process = Process(file)
    process.write(
        '[[upstreams]]\nname = "u"\nbase_url = "https://example.com/v1"\napi_key_env = "ABSENT"\n'
    )
    assert await process.hang_up()
    assert process.loaded.config.upstreams == ()
    assert any("ABSENT" in text for level, text in process.told if level == logging.WARNING)
