"""What `tollhouse run` prints: addresses, and how the console is reached from another machine."""

from pathlib import Path

import pytest

from gateway.banner import banner
from gateway.config import Loaded
from gateway.settings import Config


def printed(**given):
    known = {
        "version": "1",
        "gateway_url": "http://127.0.0.1:8080",
        "admin_url": "http://127.0.0.1:8081",
        "workers": 1,
        "loaded": Loaded(Config(), None, {}, ()),
        "demo": False,
        "key": None,
        "password": None,
        "state": Path("/state"),
        "color": False,
        "login": "ada@host",
    }
    return banner(**known | given)


@pytest.mark.parametrize(
    ("admin_url", "line"),
    [
        ("http://127.0.0.1:8081", "ssh -L 8081:127.0.0.1:8081 ada@host"),
        ("http://[::1]:9000", "ssh -L 9000:[::1]:9000 ada@host"),
        ("http://10.0.0.5:80", "ssh -L 80:10.0.0.5:80 ada@host"),
    ],
)
def test_it_tells_the_consoles_address_and_the_line_for_other_machines(admin_url, line):
    text = printed(admin_url=admin_url)
    assert f"Console     {admin_url}/" in text
    assert line in text
