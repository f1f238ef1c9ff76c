"""Handlers of a token's secrets: rotate, end the overlap, find by what was pasted, reveal where they are kept."""

from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.brake import Braked
from admin_api.context import CALLER, SERVICES, Services, actor_of
from admin_api.envelope import Code, Declined, accept, accept_again, json_bytes, too_many
from admin_api.requests import if_match, number_in_path, once_of, wanted_version
from admin_api.tokens.bodies import FindBody, IdsBody, RotateBody
from admin_api.tokens.requests import object_of, objects_of, publish, secrets_of
from gateway.store.editing import Keyed
from gateway.store.idempotency import carry_out
from gateway.store.postgres import Connection
from gateway.store.secrets import end_overlap, find_by_key, reveal, write_rotation


async def rotate(request: web.Request) -> web.Response:
    """POST /api/token/{id}/rotate: a new secret, told once; the present one goes on for the overlap."""
    services = request.app[SERVICES]
    body = await read_body(request, RotateBody, optional=True)
    actor, token_id = actor_of(request), number_in_path(request)
    version = wanted_version(request, body.version)

    async def write(connection: Connection) -> Keyed:
        return await write_rotation(
            connection,
            actor,
            token_id,
            body.overlap_seconds,
            pepper=services.pepper,
            seal=services.kept_seal,
            if_version=version,
        )

    done = await carry_out(
        services.pool,
        await once_of(request),
        write,
        lambda rotated: json_bytes(_with_key(services, rotated)),
    )
    if isinstance(done, bytes):
        return accept_again(done)
    told = await publish(services, [done])
    return accept(_with_key(services, done), told=told)


async def stop_overlap(request: web.Request) -> web.Response:
    """DELETE /api/token/{id}/rotate: the secrets that a rotation left in force end now."""
    services = request.app[SERVICES]
    edited = await end_overlap(
        services.pool, actor_of(request), number_in_path(request), if_version=if_match(request)
    )
    told = await publish(services, [edited])
    (shown,) = await objects_of(services, [edited.row])
    return accept(shown | {"secrets": await secrets_of(services, edited.row)}, told=told)


async def find(request: web.Request) -> web.Response:
    """POST /api/token/find: the token that a secret opens. It travels in the body, never in an address."""
    services = request.app[SERVICES]
    body = await read_body(request, FindBody)
    actor = actor_of(request, writes=False)
    row = await find_by_key(services.pool, actor, body.key.strip(), services.pepper)
    (shown,) = await objects_of(services, [row])
    return accept(shown | {"secrets": await secrets_of(services, row)})


async def reveal_one(request: web.Request) -> web.Response:
    """POST /api/token/{id}/key: the full key, where the operator lets keys be kept."""
    token_id = number_in_path(request)
    found, missing = await _revealed(request, [token_id])
    if token_id in missing:
        raise Declined(Code.KEY_NOT_RECOVERABLE, missing[token_id])
    return accept({"key": found[token_id]})


async def reveal_many(request: web.Request) -> web.Response:
    """POST /api/token/batch/keys: the full keys of several tokens; `missing` says of the others why not."""
    body = await read_body(request, IdsBody)
    found, missing = await _revealed(request, body.ids)
    if not found:
        raise Declined(
            Code.KEY_NOT_RECOVERABLE, f"None of these keys was kept. {next(iter(missing.values()))}"
        )
    return accept({"keys": _by_text(found), "missing": _by_text(missing)})


async def _revealed(
    request: web.Request, token_ids: list[int]
) -> tuple[dict[int, str], dict[int, str]]:
    services = request.app[SERVICES]
    if not services.config.keys.recoverable:
        raise Declined(
            Code.KEY_NOT_RECOVERABLE,
            "Keys are not kept here, only their digests are (keys.recoverable is false); "
            "rotate to obtain a new secret.",
        )
    try:
        services.reveals.take(request[CALLER].user.id)
    except Braked as braked:
        raise too_many("keys were asked for", braked.retry_after_s) from None
    return await reveal(services.pool, actor_of(request), token_ids, services.seal, services.pepper)


def _with_key(services: Services, rotated: Keyed) -> dict[str, Any]:
    return object_of(services, rotated.row, None) | {"key": rotated.key}


def _by_text(values: dict[int, str]) -> dict[str, str]:
    return {str(token_id): value for token_id, value in values.items()}
