"""The admin app over a real database, as the tests of its API call it."""

import contextlib
import json
from dataclasses import dataclass, field

from admin_api.app import build_app
from gateway.config import Loaded, ServiceSecrets
from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.settings import Config
from gateway.store.bootstrap import Credentials, bootstrap
from gateway.store.passwords import Passwords
from gateway.store.people import write_access_token, write_user
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import Pool, open_pool, transaction
from gateway.store.quota import QuotaStore
from gateway.store.roles import ADMIN
from gateway.store.seal import Seal
from tests.databases import as_role
from tests.described import check_described

PEPPER_SECRET = bytes(range(32))
PEPPER = Pepper(PEPPER_SECRET)
KEK = bytes(range(32, 64))
UNIT = 2000  # nano-dollars of a quota unit at 500,000 units per dollar
SYSTEM = Actor("system", any_group=True)
NO_SECRETS = ServiceSecrets()


@dataclass
class Told:
    """Where the app's notices go. `reached`: whether it says that the quota store was told."""

    reached: bool = True
    notices: list = field(default_factory=list)
    users: list = field(default_factory=list)

    async def books_changed(self, account_id, books):
        self.notices.append((account_id, None, list(books)))
        return self.reached

    async def catalog_changed(self, generation):
        self.notices.append((generation,))
        return self.reached

    async def token_changed(self, account_id, token_id, books):
        self.notices.append((account_id, token_id, list(books)))
        return self.reached

    async def user_changed(self, user_id):
        self.users.append(user_id)


@dataclass
class Answer:
    status: int
    body: dict
    headers: object

    @property
    def data(self):
        return self.body.get("data")

    @property
    def message(self):
        return self.body["message"]


@dataclass
class Admin:
    """A client of the app, with the first administrator's access token unless told otherwise."""

    client: object
    pool: Pool
    told: Told
    credentials: Credentials
    clock: list
    lines: list

    async def call(self, method, path, body=None, *, token=None, headers=None, data=None):
        sent = {"Authorization": f"Bearer {token or self.credentials.access_token}"}
        return await self.bare(method, path, body, headers=sent | (headers or {}), data=data)

    async def bare(self, method, path, body=None, *, headers=None, data=None):
        """A call without an access token."""
        headers = dict(headers or {})
        if body is not None:
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        async with self.client.request(
            method, path, data=data, headers=headers, allow_redirects=False
        ) as response:
            text = await response.text()
            answer = Answer(response.status, json.loads(text) if text else {}, response.headers)
        check_described(method, path, body, answer.status, answer.body)
        return answer

    async def create(self, token=None, **fields):
        """Make a token; the answer's object."""
        answer = await self.call(
            "POST", "/api/token/", {"name": "app", "remain_quota": 1000, **fields}, token=token
        )
        assert answer.status == 200, answer.body
        return answer.data

    async def get(self, token_id):
        answer = await self.call("GET", f"/api/token/{token_id}")
        assert answer.status == 200, answer.body
        return answer.data

    async def spend(self, token_id, nusd):
        """What posting does to a token's book."""
        await self.pool.execute("UPDATE token SET used = used + $2 WHERE id = $1", token_id, nusd)

    async def use(self, token_id, used):
        """What posting does to a token's row."""
        await self.pool.execute(
            "UPDATE token SET used = $2, accessed_at = to_timestamp($3) WHERE id = $1",
            *(token_id, used, self.clock[0]),
        )

    async def user(
        self, username, *, role="user", password=None, once=False, account_id=None, **access
    ):
        """Make a user; their id and an access token."""
        passwords = Passwords()
        hashed = None if password is None else await passwords.hash(password)
        passwords.close()
        async with transaction(self.pool) as connection:
            user_id = await write_user(
                connection,
                SYSTEM,
                username,
                role=role,
                password_hash=hashed,
                password_once=once,
                account_id=account_id,
            )
            token = await write_access_token(connection, SYSTEM, user_id, "t", PEPPER, **access)
        return user_id, token


async def done(admin, method, path, body=None, **more):
    """`data` of a call that the API carries out."""
    answer = await admin.call(method, path, body, **more)
    assert answer.status == 200, answer.body
    return answer.data


async def declined(admin, status, code, method, path, body=None, **more):
    """The message of a call that it declines."""
    answer = await admin.call(method, path, body, **more)
    assert (answer.status, answer.body.get("code")) == (status, code), answer.body
    return answer.message


@contextlib.asynccontextmanager
async def running_admin(
    aiohttp_client,
    dsn,
    settings=None,
    quota=None,
    notifier=None,
    seal=None,
    service_secrets=NO_SECRETS,
    pepper=PEPPER,
    own_dsn=None,
):
    """The app on a database with the schema, after the first start. `clock[0]` is its time.

    Without `quota` its quota store cannot be asked; without `notifier` its notices go to `told`.
    """
    config = Config.model_validate(settings or {})
    async with (
        await open_pool(dsn, size=5, statement_timeout_s=10) as pool,
        await open_pool(own_dsn or as_role(dsn, ADMIN), size=5, statement_timeout_s=10) as own,
    ):
        credentials = await bootstrap(pool, pepper, config)
        told, clock, lines = Told(), [1_800_000_000.0], []
        app = build_app(
            Loaded(config, None, {upstream.name: () for upstream in config.upstreams}, ()),
            own,
            notifier or told,
            quota or QuotaStore(Pipeline("redis://127.0.0.1:1")),
            pepper,
            seal or Seal(KEK),
            service_secrets,
            write_line=lines.append,
            clock=lambda: clock[0],
        )
        client = await aiohttp_client(app)
        yield Admin(client, pool, told, credentials, clock, lines)
