"""The tests of what `make compiled` makes (`make test COMPILED=1`): this process and all that it starts import that.

Loaded as a plugin, before anything imports the gateway.
"""

import os
import sys
from pathlib import Path

import pytest

_COMPILED = Path(__file__).parents[1] / "build" / "compiled"

sys.path.insert(0, str(_COMPILED))
# Python would look into the working directory first, where the sources are.
os.environ |= {"PYTHONPATH": str(_COMPILED), "PYTHONSAFEPATH": "1"}

import gateway  # noqa: E402
from gateway.relay import attempt  # noqa: E402

for module in (gateway, attempt):
    assert Path(str(module.__file__)).is_relative_to(_COMPILED), f"{module} is not the compiled one"
assert not str(attempt.__file__).endswith(".py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the sources says so by name (`interpreted`)."""
    for item in items:
        if item.get_closest_marker("interpreted"):
            item.add_marker(pytest.mark.skip(reason="needs the modules as they are in Python"))
