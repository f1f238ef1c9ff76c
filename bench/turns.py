"""`python -m bench.turns TREE`: pages of tokens from another tree's admin app and from this one's, in turns.

TREE is another commit's (`git worktree add`). Both apps have one database, and whatever else the machine does disturbs
both alike: so ratios of processor time mean something on a busy one, too.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.cpu import tree
from bench.million import fill
from bench.nginx import nginx_mock
from bench.pages import FILTERS, WHOSE
from bench.servers import free_port, process, wait_until
from bench.tollhouse import Tollhouse, tollhouse

_SORTS = ("id", "name", "remain_quota")
_ROOT = Path(__file__).parents[1]


class App(NamedTuple):
    """An admin app of its own beside the one that `tollhouse run` started."""

    pid: int
    connection: http.client.HTTPConnection


class Took(NamedTuple):
    """Milliseconds of the processor for one page."""

    app: float
    postgres: float


def main() -> int:
    """Run it and print a line for each filter."""
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__)
    parser.add_argument("tree", type=Path, help="the other tree")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="default 1,000,000")
    parser.add_argument("--reps", type=int, default=5, help="of each page (default 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as name:
        directory = Path(name)
        directory.chmod(0o711)  # started by root, the servers run as a user who walks here
        with nginx_mock(directory / "mock") as mock, tollhouse(directory, mock) as gateway:
            asyncio.run(fill(gateway.database_url, options.tokens))
            with (
                _admin_app(gateway, directory, options.tree.resolve()) as other,
                _admin_app(gateway, directory, _ROOT) as own,
            ):
                _compare(gateway, (other, own), options.reps)
    return 0


@contextlib.contextmanager
def _admin_app(gateway: Tollhouse, directory: Path, root: Path) -> Iterator[App]:
    port, log = free_port(), directory / f"admin-{root.name}.log"
    running = Path(f"/proc/{gateway.pids['admin']}/environ").read_bytes().decode().split("\0")
    environment = dict(each.split("=", 1) for each in running if each)
    environment.pop("TOLLHOUSE_READY_FD", None)
    environment |= {"TOLLHOUSE_ADMIN__LISTEN": f"127.0.0.1:{port}", "PYTHONPATH": str(root)}
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def serves() -> bool:
        try:
            connection.connect()
        except OSError:
            return False
        return True

    command = [sys.executable, "-m", "admin_api"]
    with process(command, log, cwd=root, env=environment) as child:
        wait_until(serves, child, log, f"the admin app of {root}")
        yield App(child.pid, connection)


def _compare(gateway: Tollhouse, apps: tuple[App, App], reps: int) -> None:
    print(f"{'ms of the processor: app + Postgres':38}{'other':>14}{'own':>14}{'ratio':>7}")
    for whose, filter_name in itertools.product(WHOSE, FILTERS):
        took: list[list[Took]] = [[], []]
        for sort, order in itertools.product(_SORTS, ("desc", "asc")):
            words = (WHOSE[whose], FILTERS[filter_name], f"sort={sort}&order={order}")
            path = "/api/token/?" + "&".join(["size=100", *filter(None, words)])
            for rep in range(reps + 1):
                for turn in (0, 1) if rep % 2 else (1, 0):
                    page = _page(gateway, apps[turn], path)
                    took[turn] += [page] if rep else []  # the first one warms up
        other, own = (Took(*map(statistics.median, zip(*each, strict=True))) for each in took)
        cells = "".join(f"{each.app:7.1f} +{each.postgres:5.1f}" for each in (other, own))
        print(f"{whose:13}{filter_name:25}{cells}{sum(own) / sum(other):7.2f}", flush=True)
    print(f"load average: {os.getloadavg()[0]:.1f}")


def _page(gateway: Tollhouse, app: App, path: str) -> Took:
    backends = tree(gateway.pids["postgres"])
    before = _ms([app.pid]), _ms(backends)
    app.connection.request("GET", path, headers={"Authorization": f"Bearer {gateway.access_token}"})
    answer = app.connection.getresponse()
    answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path} was answered {answer.status}")
    return Took(_ms([app.pid]) - before[0], _ms(backends) - before[1])


def _ms(pids: set[int] | list[int]) -> float:
    """Milliseconds of the processor, to the nanosecond (`/proc/<pid>/schedstat`)."""
    spent = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile
            spent += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return spent / 1e6


if __name__ == "__main__":
    sys.exit(main())
