"""A held port is nobody else's; one that is about to be closed serves who has begun to connect."""

import asyncio
import contextlib
import socket
import sys

import pytest

from gateway.listen import hold_port, listening_socket, probe_ports, turn_away


def test_a_held_port_is_nobody_elses_before_and_after_somebody_who_shares_it_listens():
    chosen = probe_ports({"admin.listen": "127.0.0.1:0"})["admin.listen"]
    address = ("127.0.0.1", int(chosen.rpartition(":")[2]))
    with contextlib.closing(hold_port(chosen, "admin.listen")):
        for _ in range(2):
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(address)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            with (
                listening_socket(chosen, "admin.listen", shared=True, backlog=1),
                socket.create_connection(address),
            ):
                pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can")
async def test_who_has_connected_is_accepted_and_who_comes_later_finds_the_port_closed():
    listener = listening_socket("127.0.0.1:0", "gateway.listen", shared=False, backlog=10)
    port = listener.getsockname()[1]
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn_away(listener)
    later = asyncio.ensure_future(asyncio.open_connection("127.0.0.1", port))
    accepted, _ = await loop.sock_accept(listener)
    with accepted:
        await loop.sock_sendall(accepted, b"served")
    assert await reader.read() == b"served"
    writer.close()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not later.done()
    listener.close()
    with pytest.raises(ConnectionRefusedError):  # its second packet, a second later
        await later
