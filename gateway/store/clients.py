"""redis-py's client of the server that notices pass through, whichever way the servers stand to each other.

In a cluster that is the node which has shard 0: a notice goes to all nodes, and whoever counts the listeners asks one.
"""

from typing import Any, Final, Protocol

from redis.asyncio import Redis, from_url
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from gateway.domain.store_url import Layout, StoreUrl, read_store_url
from gateway.store.prepared import key

_KEY: Final = key(0, "e").decode()


class Clients(Protocol):
    """Makes the client, and another one where the server is another now."""

    async def current(self) -> Redis:
        """Of the server as far as is known. Raises redis-py's errors."""
        ...

    def doubt(self) -> None:
        """It did not answer: look for it again."""
        ...

    async def aclose(self) -> None:
        """Give up every connection."""
        ...


def clients_of(url: str) -> Clients:
    """For `redis.url`. Raises ValueError for one that is none."""
    parts = read_store_url(url)
    match parts.layout:
        case Layout.SERVER:
            return _Fixed(from_url(url, retry=_no_retry()))
        case Layout.SENTINEL:
            return _BySentinels(parts)
        case Layout.CLUSTER:
            return _InCluster(parts)


class _Fixed:
    def __init__(self, client: Redis) -> None:
        self._client = client

    async def current(self) -> Redis:
        return self._client

    def doubt(self) -> None:
        """The client connects anew by itself."""

    async def aclose(self) -> None:
        await self._client.aclose()


class _BySentinels(_Fixed):
    """The client asks the Sentinels each time it connects."""

    def __init__(self, url: StoreUrl) -> None:
        asked = [_settings(each) for each in url.urls]
        places = [(each.pop("host"), each.pop("port")) for each in asked]
        settings = _settings(url.at("-", 1)) | {"db": url.database}
        del settings["host"], settings["port"]
        self._sentinels = Sentinel(places, sentinel_kwargs=asked[0], **settings)  # type: ignore[no-untyped-call]
        super().__init__(self._sentinels.master_for(url.service))

    async def aclose(self) -> None:
        await super().aclose()
        await self._sentinels.aclose()


class _InCluster:
    def __init__(self, url: StoreUrl) -> None:
        self._url = url
        self._client: Redis | None = None
        self._is_doubted = False

    async def current(self) -> Redis:
        if self._is_doubted:
            self._is_doubted = False
            await self.aclose()
        if self._client is None:
            host, port = await self._find()
            self._client = from_url(self._url.at(host, port), retry=_no_retry())
        return self._client

    def doubt(self) -> None:
        self._is_doubted = True

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _find(self) -> tuple[str, int]:
        settings = _settings(self._url.urls[0])
        places = [_settings(each) for each in self._url.urls]
        nodes = [ClusterNode(each["host"], each["port"]) for each in places]
        del settings["host"], settings["port"], settings["db"]
        async with RedisCluster(startup_nodes=nodes, **settings) as cluster:
            node = cluster.get_node_from_key(_KEY)
            assert node is not None  # only a replica may not be there
            return node.host, int(node.port)


def _settings(url: str) -> dict[str, Any]:
    """What redis-py reads of a URL, as its classes take it."""
    parts: dict[str, Any] = dict(parse_url(url))
    if parts.pop("connection_class", None) is SSLConnection:
        parts["ssl"] = True
    return parts | {"retry": _no_retry()}


def _no_retry() -> Retry:
    """So that a lost subscription is seen at once, and reported as a gap."""
    return Retry(NoBackoff(), 0)
