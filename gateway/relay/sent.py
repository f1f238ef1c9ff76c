"""What an upstream is sent of a call: body and path, as they came or translated."""

import asyncio
from typing import Final, NamedTuple
from urllib.parse import quote

from gateway.domain.ask import Changes
from gateway.domain.azure import azure_path
from gateway.domain.catalog import Dialect
from gateway.domain.splice import Pieces
from gateway.domain.translation.one_call import Translation
from gateway.relay.call import Call, Target
from gateway.relay.query import passed_on
from gateway.relay.translated import load_forms, translation_of

_LARGE_BYTES: Final = 65_536


class Sent(NamedTuple):
    """A call as one upstream gets it. `hide_usage`: its usage was asked for by us, and is not for the caller.

    `translation` is None where both speak one dialect.
    """

    dialect: Dialect
    path: str
    body: bytes | Pieces
    hide_usage: bool = False
    translation: Translation | None = None


async def sent_translated(call: Call, target: Target) -> Sent:
    """A call as a `target` of another dialect gets it. Raises `Untranslatable`.

    A large body may have a million messages: it is translated in a thread, while the loop has its turns.
    """
    await load_forms()
    call.is_translated = True
    if len(call.body) < _LARGE_BYTES:
        translation = translation_of(call, target)
    else:
        translation = await asyncio.to_thread(translation_of, call, target)
    path = _at_azure(translation.path, target)
    return Sent(target.upstream.dialect, path, translation.body, _hides_usage(call), translation)


def sent(call: Call, target: Target) -> Sent:
    """A call as a `target` of its own dialect gets it."""
    dialect = target.upstream.dialect
    call.is_translated = False
    path = _at_azure(_path(call, target), target)
    if call.upload is not None:
        return Sent(dialect, path, b"")
    return Sent(dialect, path, _body(call, target), _hides_usage(call))


def _at_azure(path: str, target: Target) -> str:
    version = target.upstream.azure_api_version
    return azure_path(path, target.model_name, version) if version else path


def _hides_usage(call: Call) -> bool:
    ask = call.ask
    return ask.stream and call.route.form.usage_option and not ask.wants_usage


def _body(call: Call, target: Target) -> bytes | Pieces:
    ask, maximum, ask_usage = call.ask, call.hold.write_max_output, _hides_usage(call)
    model = None if target.model_name == ask.model else target.model_name
    if model is None and maximum is None and not ask_usage:
        return call.body
    field = "" if maximum is None else target.max_field(call.route.form.max_fields)
    return call.route.form.write(call.body, Changes(model, maximum, field, ask_usage))


def _path(call: Call, target: Target) -> str:
    """The path below the upstream's base URL, with the caller's query."""
    path = call.route.upstream_path
    if call.route.says is not None:
        path = path.replace("{model}", quote(target.model_name, safe=""))
    return path + passed_on(call.query) if call.query else path
