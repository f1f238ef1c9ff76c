"""The links of a passage: a call below `/v1` that is passed on without being read for tokens.

What it names is looked at, though: a model, and objects that some account has made.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.domain import checks
from gateway.domain.ask import NO_ASK, Ask, Path, read_ask
from gateway.domain.errors import Refusal, StoreUnavailable
from gateway.domain.passage_ask import PassageForm, boundary_of
from gateway.domain.passages import ids_in, names_a_model
from gateway.domain.pricing import hold_of_passage
from gateway.domain.thin import LARGE_BYTES
from gateway.relay.call import Call, Terms
from gateway.relay.chain import Link, accept_body, agreed_terms, read_body
from gateway.relay.large_body import read_large_ask
from gateway.relay.objects import Objects, unknown_owner
from gateway.relay.upload import Upload
from gateway.settings import GatewaySettings
from gateway.store.objects import require_own

# Files come so. Everything else is read, since it may name a model.
_UNREAD = ("multipart/form-data", "application/octet-stream")


def require_metering(call: Call) -> Refusal | None:
    """Refuse, for a capped token, what may cost anything and has no price."""
    return checks.require_metering(call.entry.token, call.route, call.method, call.path)


def accept_passage(settings: GatewaySettings) -> Link:
    """Refuse a body that is too large. Leaves the body, or an upload where nothing of it needs to be read."""
    accept, read = accept_body(settings.max_body_bytes), read_body(settings.max_body_bytes)
    accept_upload = accept_body(settings.max_upload_bytes, "max_upload_bytes")

    def link(call: Call) -> Refusal | Awaitable[Refusal | None] | None:
        kind = call.request.headers.get("content-type", "").lower()
        if not kind.startswith(_UNREAD) or names_a_model(call.path):
            refusal = accept(call)
            return read(call) if refusal is None else refusal
        call.body = b""
        call.upload = Upload(call.request, settings.max_upload_bytes)
        return accept_upload(call)

    return link


def read_the_passage(call: Call) -> Refusal | Awaitable[Refusal | None] | None:
    """Refuse a body of which nobody could say what model it names. Leaves the ask."""
    if call.upload is not None or not call.body:
        call.ask = NO_ASK
        return None
    form = PassageForm(boundary_of(call.request.headers.get("content-type", "")))
    if form.boundary is None and len(call.body) >= LARGE_BYTES:
        return _read_in_steps(call, form)
    return _keep(call, form, read_ask(call.body, form, Path()))


async def _read_in_steps(call: Call, form: PassageForm) -> Refusal | None:
    return _keep(call, form, await read_large_ask(call.body, form, Path()))


def _keep(call: Call, form: PassageForm, found: Ask | Refusal) -> Refusal | None:
    if isinstance(found, Refusal):
        return found
    call.route = replace(call.route, form=form)
    call.ask = found
    return None


def require_upstream(call: Call) -> Refusal | None:
    """Refuse a model that the token may not call, and a passage that no upstream of its group could take."""
    return checks.require_upstream(
        call.entry.token, call.ask.model, call.path, call.catalog, call.route.dialects
    )


def find_objects(objects: Objects) -> Link:
    """Refuse what another account has made. Leaves the upstream that has what the call is about."""

    def link(call: Call) -> Refusal | Awaitable[Refusal | None] | None:
        ids = call.ask.about
        if call.route.rule is not None:
            ids = (*ids_in(call.path), *ids)
        return look_up(call, ids) if ids else None

    async def look_up(call: Call, ids: tuple[str, ...]) -> Refusal | None:
        try:
            found = await objects.find(ids)
        except StoreUnavailable as error:
            return unknown_owner(error)
        refusal = require_own(found, call.entry.token.account_id)
        if refusal is None and found:
            call.only_at = found[0].upstream
        return refusal

    return link


def agree_price(terms_of: Callable[[Call], Terms]) -> Link:
    """Leaves the terms, and the hold: the price of the call."""

    def link(call: Call) -> None:
        call.terms = agreed_terms(call) or terms_of(call)
        call.hold = hold_of_passage(call.terms, call.route, call.ask)

    return link
