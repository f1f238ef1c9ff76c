"""A port that is about to be closed: who has begun to connect is served, who has not is turned away."""

import asyncio
import sys

import pytest

from gateway.listen import listening_socket, turn_away


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
