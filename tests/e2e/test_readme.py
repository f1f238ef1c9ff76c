"""What the README shows and what `tollhouse run` prints, done as a reader does it, in the reader's order."""

import json
import os
import re
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.product import ROOT, Product, output_of, running

README = (ROOT / "README.md").read_text()
STEPS = README.partition("## The first five minutes")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", STEPS, re.MULTILINE | re.DOTALL)
FILLED_IN = re.compile(r"^export (\w+)=\S*…", re.MULTILINE)


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running(TOLLHOUSE_GATEWAY__WORKERS="1") as started:
        yield started


class Reader:
    """Somebody in a second shell: fills in what the README leaves open, and types the rest as it stands."""

    def __init__(self, product: Product) -> None:
        self._ready = product.ready
        self.known = {
            "TOLLHOUSE_KEY": product.printed("Key"),
            "TOLLHOUSE_STATE": product.printed("State"),
        }
        self._shell = {"PATH": os.environ["PATH"]}

    def do(self, language: str, block: str) -> str:
        """What a block printed."""
        names = FILLED_IN.findall(block)
        self._shell |= {name: self.known[name] for name in names}
        if names:
            return ""
        for shown, real in (
            ("http://127.0.0.1:8080", self._ready["gateway_url"]),
            ("http://127.0.0.1:8081", self._ready["admin_url"]),
        ):
            block = block.replace(shown, real)
        command = ["sh", "-euc", block] if language == "sh" else [sys.executable, "-c", block]
        return output_of(command, self._shell)


def test_the_readme_works_as_it_stands(product: Product):
    reader = Reader(product)
    printed = []
    for language, block in BLOCKS:
        output = reader.do(language, block)
        if output:
            printed.append(output)
        if '"quota_usd"' in block:
            reader.known["APP_KEY"] = json.loads(output)["data"]["key"]
    curl, sdk, made, cap, listed = printed
    assert json.loads(curl)["choices"][0]["message"]["content"].startswith(
        "This is Tollhouse's demo"
    )
    whole, streamed = sdk.splitlines()
    assert whole == f"{streamed} 43 tokens"
    assert json.loads(made)["data"]["quota_usd"] == 0.25
    calls, _, refusal = cap.partition(" calls, then: ")
    assert int(calls) > 10
    assert "The quota of this token is $0.25" in refusal
    app, first = json.loads(listed)["data"]["items"]
    assert app["name"] == "my app"
    assert 0 < app["used_quota"] < 125_000
    assert app["used_quota"] + app["remain_quota"] == 125_000
    assert first["used_quota"] > 0


@pytest.mark.parametrize("program", ["curl", "python3"])
def test_the_commands_that_are_printed_work(product: Product, program: str):
    (command,) = [line for line in product.output.splitlines() if line.startswith(f"{program} ")]
    assert "This is Tollhouse's demo" in output_of(
        ["sh", "-euc", command], {"PATH": os.environ["PATH"]}
    )
