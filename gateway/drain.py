"""The end of a worker's service: nothing that was begun is broken that time allows to end, and the rest is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.app import Gateway
from gateway.domain.errors import Reason, Refusal

_ENDED: Final = Refusal(
    Reason.SHUTTING_DOWN, "The gateway is shutting down; repeat the call.", retry_after_s=1
)
_LAST_BYTES_S: Final = 2.0


async def drain(gateway: Gateway, close_port: Callable[[], Awaitable[None]]) -> None:
    """Answer what comes until balancers have seen that we go, then what has come, then tell the rest.

    Takes `lame_duck_s` at most, then `drain_s`, then two seconds for callers who are slow to take their last bytes.
    What calls took is settled when it returns, but for those that go on without their caller.
    """
    settings, server = gateway.config.gateway, gateway.server
    gateway.health.is_accepting = False
    server.close_after_answers()
    await asyncio.sleep(settings.lame_duck_s)
    await close_port()
    server.close_idle()
    await server.gone(settings.drain_s)
    gateway.handler.end(_ENDED)
    gateway.forwarder.cut(_ENDED)
    server.interrupt()
    await server.gone(_LAST_BYTES_S)
