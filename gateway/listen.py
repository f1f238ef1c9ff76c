"""Listening addresses: `host:port` text, ports that are taken, ports that are held."""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Mapping

from gateway.settings import GatewaySettings

_PUBLIC_NAMES = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104
_LAST_PORT = 65_535
HELD = "TOLLHOUSE_SHARED_PORT"
"""The variable that tells a process that its port is held for it, and is to be shared with whoever holds it."""

# linux/filter.h and asm-generic/socket.h: of what comes to a listening socket, drop the first packet of a connection.
_SO_ATTACH_FILTER = 26
_DROP_FIRST_PACKETS = (
    (0x30, 0, 0, 13),  # load the byte of TCP's flags
    (0x54, 0, 0, 0x12),  # of these SYN and ACK
    (0x15, 0, 1, 0x02),  # where it is SYN alone
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0x40000),
)


class PortTaken(Exception):
    """Another process listens there. The message names the setting to change."""


def parse_listen(text: str) -> tuple[str, int]:
    """Host (without brackets, empty = all) and port."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def url_of(listen: str) -> str:
    """The URL under which a listener is reached from this machine."""
    host, port = parse_listen(listen)
    name = _PUBLIC_NAMES.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def origin_of(settings: GatewaySettings) -> str:
    """The origin that callers are told to use."""
    return settings.public_url.rstrip("/") or url_of(settings.listen)


def probe_ports(listens: Mapping[str, str]) -> dict[str, str]:
    """Make sure that nobody listens where these settings say, nor two of them at one port; choose ports for 0.

    The addresses by setting. Raises `PortTaken`. Not with SO_REUSEPORT, which would share another process's port
    silently.
    """
    with contextlib.ExitStack() as probes:
        chosen = {}
        for setting, listen in listens.items():
            probe = probes.enter_context(_bound(listen, setting, shared=False, backlog=0))
            chosen[setting] = as_bound(listen, probe)
        return chosen


def hold_port(listen: str, setting: str) -> socket.socket:
    """Keep a port for processes that share it: nobody else is given it until they listen, or while one starts again.

    The socket does not listen, so no connection comes to it. Raises `PortTaken`.
    """
    return _bound(listen, setting, shared=True)


def is_held() -> bool:
    """Whether whoever started this process holds its port for it."""
    return os.environ.get(HELD) == "1"


def listening_socket(listen: str, setting: str, *, shared: bool, backlog: int) -> socket.socket:
    """A listening socket; `shared` lets several processes listen on one port. Raises `PortTaken`."""
    bound = _bound(listen, setting, shared=shared, backlog=backlog)
    bound.setblocking(False)  # noqa: FBT003 -- the standard library has it so
    return bound


def turn_away(listener: socket.socket) -> None:
    """Let no connection begin any more; those that have begun are still accepted (Linux; elsewhere nothing happens).

    A port that is closed resets what waits to be accepted, and a balancer has sent a call into it by then. Whoever is
    turned away tries again after a second, or finds the port closed.
    """
    program = b"".join(struct.pack("HBBI", *each) for each in _DROP_FIRST_PACKETS)
    kept = ctypes.create_string_buffer(program)
    told = struct.pack("HL", len(_DROP_FIRST_PACKETS), ctypes.addressof(kept))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, told)


def as_bound(listen: str, bound: socket.socket) -> str:
    """A listening address with the port that it came to."""
    return f"{listen.rpartition(':')[0]}:{bound.getsockname()[1]}"


def _another(port: int) -> int:
    return port + 10 if 0 < port < _LAST_PORT - 10 else 8090


def _bound(listen: str, setting: str, *, shared: bool, backlog: int | None = None) -> socket.socket:
    """A socket with that address, which listens where it has a `backlog`."""
    host, port = parse_listen(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind((host, port))
        if backlog is not None:
            made.listen(backlog)
    except OSError as error:
        made.close()
        variable = "TOLLHOUSE_" + setting.upper().replace(".", "__")
        raise PortTaken(
            f"{listen} cannot be listened on: {error.strerror}. Choose another address with the setting "
            f"{setting}, for example {variable}={listen.rpartition(':')[0] or '127.0.0.1'}:{_another(port)}"
        ) from None
    return made
