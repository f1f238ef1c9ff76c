"""The links of a passage: a call below `/v1` that is passed on without being read for tokens.

What it names is looked at, though: a model, and objects that some account has made.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from gateway.domain import checks
from gateway.domain.ask import Ask, Path, read_ask
from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.passage_ask import PassageForm, boundary_of
from gateway.domain.passages import OTHER, Metering, ids_in, names_a_model
from gateway.domain.quota import Hold
from gateway.domain.usage import ONE_CALL
from gateway.relay.call import Call, Terms
from gateway.relay.chain import Link, accept_body, agreed_terms, read_body, require_candidates
from gateway.relay.objects import Objects, unknown_owner
from gateway.relay.upload import Upload
from gateway.settings import GatewaySettings

# Files come so. Everything else is read, since it may name a model.
_UNREAD = ("multipart/form-data", "application/octet-stream")
_NO_ASK = Ask("", False, None, None, 1, True, None, False, 0)  # noqa: FBT003


def require_metering(call: Call) -> Refusal | None:
    """Refuse, for a capped token, what may cost anything and has no price."""
    rule = call.route.rule
    if rule is not None and rule.metering is Metering.UNCAPPED and call.entry.token.capped:
        slip = (
            " Is the path right? It is none that is known here." if call.route.name == OTHER else ""
        )
        return Refusal(
            Reason.ROUTE_NOT_METERED,
            f"What {call.method} {call.path} costs is not known here, and this key has a cap. The operator can set a "
            f"price for each call in [[routes]], or the key can be made uncapped.{slip}",
        )
    return None


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


def read_the_passage(call: Call) -> Refusal | None:
    """Refuse a body of which nobody could say what model it names. Leaves the ask."""
    if call.upload is not None or not call.body:
        call.ask = _NO_ASK
        return None
    form = PassageForm(boundary_of(call.request.headers.get("content-type", "")))
    found = read_ask(call.body, form, Path())
    if isinstance(found, Refusal):
        return found
    call.route = replace(call.route, form=form)
    call.ask = found
    return None


def require_upstream(call: Call) -> Refusal | None:
    """Refuse a model that the token may not call, and a passage that no upstream of its group could take."""
    token, dialect = call.entry.token, call.route.dialect
    if call.ask.model:
        return checks.require_model(token, call.ask.model, call.catalog, dialect)
    return require_candidates(call)


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
        account_id = call.entry.token.account_id
        for made in found:
            if made.account_id != account_id:
                return Refusal(
                    Reason.OBJECT_NOT_FOUND, f"There is no {made.id!r} here, or it is not yours."
                )
        if found:
            call.only_at = found[0].upstream
        return None

    return link


def agree_price(terms_of: Callable[[Call], Terms]) -> Link:
    """Leaves the terms, and the hold: the price of the call."""

    def link(call: Call) -> None:
        call.terms = agreed_terms(call) or terms_of(call)
        amount = call.cost_nusd(ONE_CALL) if call.route.metering == "call" else 0
        call.hold = Hold(amount, 0)

    return link
