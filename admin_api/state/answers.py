"""What is in `data` of the answers about the installation's state."""

from typing import Literal

from admin_api.answers import Answer, Reservation, Seconds


class RunningCall(Reservation):
    """A running call, and whose it is."""

    token_id: int
    token_name: str | None
    """Null where the row is gone."""
    user_id: int
    """Who made the token."""
    username: str | None
    account_id: int


class PostgresState(Answer):
    """Postgres, as it says of itself."""

    latency_ms: float
    """Of the simplest statement."""
    version: str
    schema_version: int
    database_bytes: int
    connections: int
    """To this database, everybody's."""
    own_connections: int
    """Those of Tollhouse's processes."""
    max_connections: int
    """Of the server, for all its databases."""


class ValkeyState(Answer):
    """Valkey or Redis, as it says of itself."""

    latency_ms: float
    """Of a ping."""
    server: str
    """`valkey`, or `redis` where it does not say."""
    version: str
    used_bytes: int
    max_bytes: int | None
    """Null: it may take what there is."""
    connections: int
    uptime_s: int


class CallsState(Answer):
    """The calls that run now, of all accounts."""

    running: int
    held_quota: int
    held_nusd: int
    oldest_age_s: float | None
    """Null where none runs."""


class LedgerState(Answer):
    """What is settled and on its way to the ledger."""

    unposted: int | None
    """Charges that Valkey has and Postgres does not; null where Valkey does not answer."""
    lag_s: float | None
    """How long ago the oldest of those calls ended; null where there is none."""
    last_call_time: int | None
    """Unix seconds at which the newest call of the ledger began; null where there is none."""


class OutboxState(Answer):
    """E-mails and calls of webhooks that are to be sent."""

    waiting: int
    retried: int
    """Those of them that have failed at least once."""
    failed: int
    """Given up in the last seven days."""


class UpstreamState(Answer):
    """An upstream, as gateways see it."""

    name: str
    dialect: Literal["openai", "anthropic", "gemini"]
    out_since: int | None
    """Unix seconds since when some gateway cannot use it; null where none says so."""


class CatalogState(Answer):
    """The catalog that is in force."""

    generation: int
    models: int
    groups: int
    broken: list[str]
    """What the API made and cannot be had, as `kind name: why`."""


class State(Answer):
    """The installation as it is now. What a store does not tell is null."""

    version: str
    at: Seconds
    postgres: PostgresState | None
    valkey: ValkeyState | None
    gateways: int | None
    """Gateway workers that are connected to Valkey now."""
    calls: CallsState | None
    ledger: LedgerState
    outbox: OutboxState | None
    upstreams: list[UpstreamState] | None
    catalog: CatalogState | None
