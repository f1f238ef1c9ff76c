"""The log of calls as a file, sent as it is read: CSV or JSON lines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiohttp import web

from admin_api.context import CALLER, SERVICES
from admin_api.logs.handlers import within_reach
from admin_api.logs.objects import csv_head, csv_lines, jsonl_lines
from admin_api.logs.queries import FILTERS, filter_of
from admin_api.parameters import choice
from gateway.domain.units import Units
from gateway.store.logs import LoggedCall, every_call

_FORMATS: Final[Mapping[str, tuple[str, bytes, Callable[[Sequence[LoggedCall], Units], bytes]]]] = {
    "csv": ("text/csv; charset=utf-8; header=present", csv_head(), csv_lines),
    "jsonl": ("application/jsonl", b"", jsonl_lines),
}


async def export(request: web.Request) -> web.StreamResponse:
    """GET /api/log/export: all calls of a filter as a file, sent as they are read."""
    services = request.app[SERVICES]
    format_name = choice(request.query, "format", _FORMATS, "csv")
    chosen = filter_of(request.query, request[CALLER].user.id, FILTERS | {"format"})
    parts = every_call(services.pool, within_reach(request, chosen))
    content_type, head, lines_of = _FORMATS[format_name]
    first = await anext(parts)  # what goes wrong at once is told in our form
    response = web.StreamResponse(
        headers={
            "Content-Type": content_type,
            "Content-Disposition": f'attachment; filename="calls.{format_name}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        await response.write(head + lines_of(first, services.units))
        async for calls in parts:
            await response.write(lines_of(calls, services.units))
        await response.write_eof()
    except ConnectionError:
        pass  # the client has left, and with this handler ends the reading
    except BaseException:
        if request.transport is not None:
            request.transport.abort()  # without the last chunk: nobody takes it for whole
        raise
    return response
