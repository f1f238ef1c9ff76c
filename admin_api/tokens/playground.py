"""The console's playground: a chat with a token, without anybody's having its key at hand."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import ConfigDict, Field, StrictBool, StrictStr

from admin_api.bodies import Body, read_body
from admin_api.brake import Braked
from admin_api.context import ADDRESS, CALLER, SERVICES, actor_of
from admin_api.envelope import Code, Declined, too_many
from admin_api.requests import number_in_path
from gateway.store.playground import mint_console_secret


class PlaygroundBody(Body):
    """A chat completion as OpenAI's API takes it. What is not said here is passed on as well."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]},
            ]
        },
    )

    model: Annotated[StrictStr, Field(min_length=1)]
    """The model."""
    messages: list[dict[str, Any]]
    """What was said so far."""
    stream: StrictBool | None = None
    """Whether the answer comes as it is made, as server-sent events."""


async def chat(request: web.Request) -> web.StreamResponse:
    """POST /api/token/{id}/playground: a chat completion with the token, answered as the gateway answers.

    It is an ordinary call of the token from your address: every rule of the token holds, it costs what it costs, and
    its row in the log has `from_console`. Status, body and stream are the gateway's; `X-Gateway-Request-Id` is the
    call's id, and tells its answers from those of this API.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    await read_body(request, PlaygroundBody)
    if ADDRESS not in request:
        raise Declined(
            Code.ADDRESS_NOT_ALLOWED,
            "Your address is unknown (what the proxy says of it is unreadable), so nobody can say whether the key "
            "may be used from it.",
        )
    try:
        services.playground.take(caller.user.id)
    except Braked as braked:
        raise too_many("calls of the playground", braked.retry_after_s) from None
    key = await mint_console_secret(
        services.pool,
        actor_of(request),
        number_in_path(request),
        request[ADDRESS].text,
        services.pepper,
    )
    return await services.gateway.relay_chat(request, key, await request.read())
