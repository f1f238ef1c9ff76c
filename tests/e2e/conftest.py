"""Fixtures of the tests of processes."""

import subprocess
from collections.abc import Callable

import pytest

from tests.e2e.product import Product, tollhouse


@pytest.fixture(scope="module")
def run(product: Product) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A command beside the module's running product, which it finds by itself."""

    def command(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return tollhouse(product.place, *words, **settings)

    return command
