"""The files that travel with the packages: schema.sql and config.example.toml.

In a checkout they stand at its root; in an installed package they are `gateway/data/`.
"""

from importlib.resources import files
from pathlib import Path


def schema_sql() -> str:
    """Every table: what `apply_schema` runs on an empty database."""
    return _read("schema.sql")


def example_config() -> str:
    """The example configuration, TOML with comments."""
    return _read("config.example.toml")


def _read(name: str) -> str:
    installed = files("gateway").joinpath("data", name)
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    return (Path(__file__).parent.parent / name).read_text(encoding="utf-8")
