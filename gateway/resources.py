"""The files that travel with the packages: schema.sql, migrations/ and config.example.toml.

In a checkout they stand at its root; in an installed package they are `gateway/data/`.
"""

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def schema_sql() -> str:
    """Every table: what `apply_schema` runs on an empty database."""
    return _read("schema.sql")


def migrations() -> Mapping[int, tuple[str, str]]:
    """By the version that each brings a database to: its file's name, and its statements. 1 is the first schema."""
    found = sorted(_place("migrations").iterdir(), key=lambda file: file.name)
    return {
        int(file.name.partition("_")[0]): (file.name, file.read_text(encoding="utf-8"))
        for file in found
        if file.name.endswith(".sql")
    }


def example_config() -> str:
    """The example configuration, TOML with comments."""
    return _read("config.example.toml")


def _read(name: str) -> str:
    return _place(name).read_text(encoding="utf-8")


def _place(name: str) -> Traversable:
    installed = files("gateway").joinpath("data", name)
    if installed.is_file() or installed.is_dir():
        return installed
    return Path(__file__).parent.parent / name
