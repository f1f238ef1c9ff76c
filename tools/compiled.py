"""Hatch's hook behind `make compiled`: the modules that every call passes through become C, by mypyc.

Which they are stands in pyproject.toml. Without TOLLHOUSE_COMPILED=1 nothing is done, and the wheel is Python alone.
Modules that define structs of msgspec stay as they are: mypyc keeps no annotations, and msgspec reads them.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ASKED = "TOLLHOUSE_COMPILED"


class CompiledHook(BuildHookInterface[Any]):
    """Adds extension modules beside the sources, which Python then prefers."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, where it is asked for, and name the wheel for this Python and platform."""
        if os.environ.get(_ASKED) != "1" or version == "editable":
            return
        os.chdir(self.root)  # mypy finds its settings, and the packages, from here
        room = Path(tempfile.mkdtemp(prefix="tollhouse-compiled-"))
        for module in _compile(self.config["modules"], room):
            build_data["force_include"][str(module)] = str(module.relative_to(room))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _compile(names: list[str], room: Path) -> list[Path]:
    """The extension modules, below `room` where they belong below the wheel's root."""
    from mypyc.build import mypycify  # noqa: PLC0415 -- a development tool; a plain wheel needs none of it
    from setuptools import Distribution  # noqa: PLC0415

    sources = [f"{name.replace('.', '/')}.py" for name in names]
    extensions = mypycify(
        sources,
        opt_level="2",
        debug_level="0",
        multi_file=True,
        group_name="tollhouse",
        target_dir=str(room / "c"),
    )
    command = Distribution({"name": "tollhouse", "ext_modules": extensions}).get_command_obj(
        "build_ext"
    )
    command.build_lib, command.build_temp = str(room), str(room / "o")
    command.parallel = os.cpu_count()
    command.ensure_finalized()
    command.run()
    return [path for path in room.rglob("*.so") if (room / "o") not in path.parents]
