"""What `redis.url` names: a server, a cluster, or Sentinels that know of a server.

Pure. The forms of one server are redis-py's (`redis://`, `rediss://`, `unix://`), and so is what stands behind the `?`
of the others; those name several hosts, as `redis+cluster://user:password@h1:6379,h2:6379` and
`redis+sentinel://user:password@h1:26379,h2:26379/service` do. `rediss+…` is the same over TLS.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_PORTS: Final = {"cluster": 6379, "sentinel": 26379}
_MOST_PORT: Final = 65_535
_SEVERAL: Final = re.compile(
    r"(?P<scheme>rediss?)\+(?P<layout>cluster|sentinel)://"
    r"(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?"
)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:,\s]+)(?::(\d+))?")
_OF_SENTINELS: Final = "sentinel_"
_FORMS: Final = (
    "must begin with redis://, rediss:// or unix://, or with redis+cluster://, redis+sentinel:// "
    "or one of these two with rediss"
)


class Layout(StrEnum):
    """How the servers stand to each other."""

    SERVER = "server"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """`urls` are of the server, of nodes of the cluster, or of the Sentinels, each in redis-py's form.

    `service` is what Sentinels call the server. Neither is shown: both forms hold passwords.
    """

    layout: Layout
    urls: tuple[str, ...]
    service: str
    database: int
    _server: str

    def __repr__(self) -> str:
        return f"StoreUrl({self.layout})"

    def at(self, host: str, port: int) -> str:
        """The URL of a server that the cluster or the Sentinels have named."""
        bare = host.strip("[]")
        return self._server.format(f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}")


def read_store_url(url: str) -> StoreUrl:
    """The parts. Raises ValueError, whose text names the rule and never the URL."""
    scheme = url.partition("://")[0]
    if "+" not in scheme:
        if scheme not in {"redis", "rediss", "unix"}:
            raise ValueError(_FORMS)
        return StoreUrl(Layout.SERVER, (url,), "", _database_of_one(url), "")
    parts = _SEVERAL.fullmatch(url)
    if parts is None:
        raise ValueError(_FORMS)
    layout = Layout(parts["layout"])
    hosts = _hosts(parts["hosts"], _PORTS[layout])
    names = [each for each in (parts["path"] or "").split("/") if each]
    options = parse_qsl(parts["query"] or "")
    service, database = _service_and_database(layout, names, dict(options).get("db"))
    of_server = [pair for pair in options if pair[0] != "db" and not _is_of_sentinels(pair[0])]
    login = "" if parts["login"] is None else f"{parts['login']}@"
    server = _plain(parts["scheme"], login, of_server, database)
    if layout is Layout.CLUSTER:
        urls = tuple(server.format(host) for host in hosts)
    else:
        sentinel = _plain(parts["scheme"], _login_of_sentinels(dict(options)), of_server, 0)
        urls = tuple(sentinel.format(host) for host in hosts)
    return StoreUrl(layout, urls, service, database, server)


def _hosts(text: str, default_port: int) -> list[str]:
    found = []
    for each in text.split(","):
        match = _HOST.fullmatch(each.strip())
        if match is None:
            raise ValueError(
                f"must name its hosts as host:port, one behind the other with a comma: not {each!r}"
            )
        port = int(match[2] or default_port)
        if not 0 < port <= _MOST_PORT:
            raise ValueError(f"names port {port}; ports are 1 to {_MOST_PORT}")
        found.append(f"{match[1]}:{port}")
    return found


def _service_and_database(
    layout: Layout, names: Sequence[str], database: str | None
) -> tuple[str, int]:
    if layout is Layout.SENTINEL:
        if not names:
            raise ValueError("must end with the name that the Sentinels know the server by: …/NAME")
        service, names = names[0], names[1:]
    else:
        service = ""
    told = [*names] if database is None else [*names, database]
    if len(told) > 1 or not all(each.isdecimal() for each in told):
        raise ValueError("may name one database, by its number")
    number = int(told[0]) if told else 0
    if layout is Layout.CLUSTER and number:
        raise ValueError("names a database; a cluster has number 0 alone")
    return service, number


def _plain(scheme: str, login: str, options: Sequence[tuple[str, str]], database: int) -> str:
    """A URL of one server, `{}` in the place of host and port."""
    query = f"?{urlencode(options)}" if options else ""
    tail = f"/{database}{query}"
    return f"{scheme}://{_escaped(login)}{{}}{_escaped(tail)}"


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _login_of_sentinels(options: dict[str, str]) -> str:
    user, password = (
        quote(options.get(f"{_OF_SENTINELS}{name}", ""), safe="")
        for name in ("username", "password")
    )
    return f"{user}:{password}@" if password else ""


def _is_of_sentinels(name: str) -> bool:
    return name in {f"{_OF_SENTINELS}username", f"{_OF_SENTINELS}password"}


def _database_of_one(url: str) -> int:
    """As redis-py reads it: of the query, else of the path; 0 where neither is a number."""
    parts = urlsplit(url)
    path = "" if parts.scheme == "unix" else parts.path.replace("/", "")
    told = dict(parse_qsl(parts.query)).get("db", path)
    return int(told) if told.isdecimal() else 0
