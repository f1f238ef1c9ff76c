"""What handlers need and a parameter cannot carry: one value on the app, three on a request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from aiohttp import web

from admin_api.brake import Brake, Ration, Throttles
from admin_api.console.logo import Logo
from admin_api.delivery.dispatch import Dispatch
from admin_api.gateway_client import GatewayClient
from admin_api.people.provider import Provider
from gateway.catalog_settings import GroupSettings
from gateway.domain.edit import Actor
from gateway.domain.network import Address, Blocks
from gateway.domain.pepper import Pepper
from gateway.domain.roles import Permission
from gateway.domain.units import Units
from gateway.explain.walk import Explainer
from gateway.settings import Config
from gateway.store.books import Book
from gateway.store.catalog import CatalogReader
from gateway.store.passwords import Passwords
from gateway.store.people import AccessGrant, User
from gateway.store.postgres import Pool
from gateway.store.quota import QuotaStore
from gateway.store.seal import Seal


class Notifier(Protocol):
    """Tells the quota store and running gateways of a committed edit."""

    async def books_changed(self, account_id: int, books: Sequence[Book]) -> bool:
        """Whether the store was told of books of an account, so that the next request on any worker obeys."""
        ...

    async def token_changed(self, account_id: int, token_id: int, books: Sequence[Book]) -> bool:
        """Whether the store was told, so that the next request on any worker obeys."""
        ...

    async def catalog_changed(self, generation: int) -> bool:
        """Whether the store was told of the catalog's generation, so that the next request on any worker obeys."""
        ...

    async def user_changed(self, user_id: int) -> None:
        """Make caches drop the tokens of a user sooner; what binds is in the books."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that was built once. `clock` gives Unix seconds."""

    config: Config
    pool: Pool
    notifier: Notifier
    quota: QuotaStore
    pepper: Pepper = field(repr=False)
    seal: Seal
    units: Units
    passwords: Passwords
    brake: Brake
    reveals: Ration
    playground: Ration
    guesses: Brake
    throttles: Throttles
    proxies: Blocks
    clock: Callable[[], float]
    explainer: Explainer
    catalogs: CatalogReader
    dispatch: Dispatch
    provider: Provider | None
    logo: Logo | None
    gateway: GatewayClient
    warnings_secret: str = field(repr=False)

    @property
    def kept_seal(self) -> Seal | None:
        """What new keys are sealed with, where the operator wants them recoverable."""
        return self.seal if self.config.keys.recoverable else None

    @property
    def groups(self) -> Mapping[str, GroupSettings]:
        """The groups as they were read last; `catalogs.read` reads them anew."""
        return self.catalogs.entries.groups if self.catalogs.is_read else self.config.groups

    def now(self) -> datetime:
        """The instant of `clock`."""
        return datetime.fromtimestamp(self.clock(), UTC)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: known by the value of a session's cookie, or by what their access token opens."""

    user: User
    permissions: frozenset[Permission]
    session: str | None = field(default=None, repr=False)
    access: AccessGrant | None = None

    def may(self, permission: Permission) -> bool:
        """Whether role and scopes allow it."""
        return permission in self.permissions


SERVICES: Final = web.AppKey("services", Services)
CALLER: Final = web.RequestKey("caller", Caller)
REQUEST_ID: Final = web.RequestKey("request_id", str)
ADDRESS: Final = web.RequestKey("address", Address)


def actor_of(request: web.Request, *, writes: bool = True) -> Actor:
    """The caller as the store knows it; the role says whether everybody's tokens are in reach."""
    caller = request[CALLER]
    reach = Permission.TOKEN_WRITE_ANY if writes else Permission.TOKEN_READ_ANY
    user_id = None if caller.may(reach) else caller.user.id
    return _actor(request, caller.user, user_id, any_group=caller.may(Permission.TOKEN_WRITE_ANY))


def wallet_actor(request: web.Request, *, writes: bool = True) -> Actor:
    """Likewise for accounts: the role says whether everybody's are in reach."""
    caller = request[CALLER]
    reach = Permission.ACCOUNT_WRITE_ANY if writes else Permission.ACCOUNT_READ_ANY
    user_id = None if caller.may(reach) else caller.user.id
    return _actor(request, caller.user, user_id, any_group=False)


def self_actor(request: web.Request, user: User) -> Actor:
    """A user acting on themselves."""
    return _actor(request, user, user.id, any_group=False)


def nobody(request: web.Request) -> Actor:
    """Somebody who has not said who they are, or not shown it."""
    return _labelled(request, "nobody", user_id=0, any_group=False)


def _actor(request: web.Request, user: User, user_id: int | None, *, any_group: bool) -> Actor:
    return _labelled(request, f"user:{user.id}", user_id, any_group=any_group)


def _labelled(request: web.Request, label: str, user_id: int | None, *, any_group: bool) -> Actor:
    address = request.get(ADDRESS)
    return Actor(
        label=label,
        user_id=user_id,
        any_group=any_group,
        address=None if address is None else address.text,
        request_id=request[REQUEST_ID],
    )
