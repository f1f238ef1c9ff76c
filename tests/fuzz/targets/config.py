"""The configuration file and the environment: an object, or every problem in words.

A line `#NAME=value` is a variable of the environment. The secret stands in none of a setting that holds no secret,
which may be told.
"""

import tempfile
from pathlib import Path

from gateway.config import ConfigError, load
from tests.fuzz.target import Target

_SECRET = "hidden-5f3a91"


def keeps(data: bytes) -> None:
    environment = {}
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        name, found, value = line.removeprefix("#").partition("=")
        told = name.startswith("TOLLHOUSE_") and _SECRET in value
        if line.startswith("#") and found and "\0" not in line and not told:
            environment[name] = value
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        Path(file.name).write_bytes(data)
        try:
            loaded = load(environment, file.name)
        except ConfigError as error:
            assert error.problems
            assert all(problem and _SECRET not in problem for problem in error.problems)
            return
    assert _SECRET not in repr(loaded)


TARGET = Target(
    "config",
    keeps,
    (
        *(b"[gateway]\n", b"[admin]\n", b"[quota]\n", b"[[models]]\n", b"[[upstreams]]\n", b"\n"),
        *(
            b'listen = "127.0.0.1:0"\n',
            b'name = "m"\n',
            b'base_url = "https://a.example/v1"\n',
            b"=",
        ),
        *(b"input_usd_per_mtok = 1.5\n", b"output_usd_per_mtok = 1e400\n", b"nan", b"inf", b"-0.0"),
        *(b"[groups.default]\n", b'limits = [{metric="usd",window="5h",limit=1}]\n', b"[[", b"]]"),
        *(
            b"#TOLLHOUSE_ADMIN__LISTEN=x\n",
            b"#OPENAI_API_KEY=hidden-5f3a91\n",
            b"\xff",
            b"\0",
            b"'",
        ),
        *(b'"""', b"'''", b"{a=", b"}", b"[" * 300, b"9" * 5000, b"1979-05-27T07:32:00Z", b"0x1f"),
        *(
            b'[postgres]\ndsn = "postgres://u:hidden-5f3a91@h/x"\n',
            b"true",
            b"\\u0000",
            b"\xc3\xa9",
        ),
        *(b"#TOLLHOUSE_GATEWAY__TRUSTED_PROXIES=10.0.0.1/8\n", b"1e99999999999999999999", b"1_000"),
    ),
)
