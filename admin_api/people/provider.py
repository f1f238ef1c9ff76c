"""The OpenID provider of `[oidc]`: its metadata and keys, and what it gives for a code (OpenID Connect, RFC 7636)."""

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from admin_api.people.id_token import BadIdToken, Person, claims_of, person_of
from gateway.admin_settings import OidcSettings
from gateway.domain.network import Blocks
from gateway.domain.outbound import trusted_literal
from gateway.outbound import open_session

_TIMEOUT_S = 10.0
_KEPT_S = 3600.0
_MAX_ANSWER_BYTES = 1024**2
_OPTIONAL: Final = frozenset({"userinfo_endpoint"})
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderUnavailable(Exception):
    """The provider does not answer, or not as a provider does."""


class SignInRefused(Exception):
    """The provider answers, and does not say who signs in."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What binds a sign-in to the browser that began it."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def new(cls) -> "Secrets":
        """Random ones."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))


@dataclass(frozen=True, slots=True)
class _Known:
    """What the provider tells of itself, until the loop's clock says `until`."""

    metadata: Mapping[str, Any]
    keys: KeySet
    until: float


class Provider:
    """Asks the provider while it is `open`. Its metadata and keys are kept for an hour."""

    def __init__(
        self, settings: OidcSettings, client_secret: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self._client_secret = client_secret
        self._clock = clock
        self._known: _Known | None = None
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Have connections for as long as the block runs."""
        near = trusted_literal(urlsplit(self.settings.issuer).hostname or "")
        allowed = near | Blocks.of(self.settings.allow_cidrs)
        async with open_session(allowed, _TIMEOUT_S, "oidc.allow_cidrs") as self._session:
            yield

    async def authorization_url(self, own: Secrets, redirect_uri: str) -> str:
        """Where the browser goes to sign in. Raises `ProviderUnavailable`."""
        known = await self._learn()
        challenge = hashlib.sha256(own.verifier.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": own.state,
            "nonce": own.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        url = str(known.metadata["authorization_endpoint"])
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(asked)}"

    async def person(self, code: str, own: Secrets, redirect_uri: str) -> Person:
        """Who signed in. Raises `SignInRefused` and `ProviderUnavailable`."""
        known = await self._learn()
        tokens = await self._exchange(known, code, own, redirect_uri)
        claims = await self._checked(known, str(tokens.get("id_token", "")), own)
        access_token = tokens.get("access_token")
        endpoint = known.metadata.get("userinfo_endpoint")
        if "email" not in claims and isinstance(access_token, str) and isinstance(endpoint, str):
            more = await self._call(
                "GET", endpoint, headers={"Authorization": f"Bearer {access_token}"}
            )
            if more.get("sub") == claims["sub"]:  # else it is somebody else: section 5.3.2
                claims = {**more, **claims}
        return person_of(claims)

    async def _checked(self, known: _Known, token: str, own: Secrets) -> Mapping[str, Any]:
        """The claims of an ID token; where no key fits, the provider may have new ones."""
        try:
            return self._claims(known, token, own)
        except BadIdToken:
            renewed = await self._learn(anew=True)
        try:
            return self._claims(renewed, token, own)
        except BadIdToken as error:
            raise SignInRefused(f"its ID token cannot be believed: {error}") from error

    def _claims(self, known: _Known, token: str, own: Secrets) -> Mapping[str, Any]:
        return claims_of(
            token,
            known.keys,
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=own.nonce,
            now=int(self._clock()),
        )

    async def _exchange(
        self, known: _Known, code: str, own: Secrets, redirect_uri: str
    ) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": own.verifier,
        }
        headers = {}
        methods = known.metadata.get("token_endpoint_auth_methods_supported")
        if not self._client_secret:
            form["client_id"] = self.settings.client_id
        elif isinstance(methods, list) and "client_secret_basic" not in methods:
            form["client_id"] = self.settings.client_id
            form["client_secret"] = self._client_secret
        else:
            name, secret = (
                quote(each, safe="") for each in (self.settings.client_id, self._client_secret)
            )  # RFC 6749 section 2.3.1
            encoded = base64.b64encode(f"{name}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {encoded}"
        return await self._call("POST", known.metadata["token_endpoint"], form, headers)

    async def _learn(self, *, anew: bool = False) -> _Known:
        now = asyncio.get_running_loop().time()
        if self._known is None or anew or self._known.until <= now:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = await self._call("GET", url)
            if metadata.get("issuer") != self.settings.issuer:
                raise ProviderUnavailable(
                    f"it calls itself {metadata.get('issuer')!r}, oidc.issuer is {self.settings.issuer!r}"
                )
            own_scheme = urlsplit(self.settings.issuer).scheme
            for name in (*_ENDPOINTS, *(_OPTIONAL & metadata.keys())):
                if urlsplit(str(metadata.get(name))).scheme not in {"https", own_scheme}:
                    raise ProviderUnavailable(f"its {name} is no https:// URL")
            try:
                keys = KeySet.import_key_set(await self._call("GET", metadata["jwks_uri"]))  # type: ignore[arg-type]
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderUnavailable(f"its keys cannot be read: {error}") from error
            self._known = _Known(metadata, keys, now + _KEPT_S)
        return self._known

    async def _call(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """A JSON object. Raises `SignInRefused` for a 4xx and `ProviderUnavailable`."""
        assert self._session is not None, "it is open"
        try:
            async with self._session.request(
                method,
                url,
                data=form,
                headers={"Accept": "application/json", **(headers or {})},
                allow_redirects=False,
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _MAX_ANSWER_BYTES:
                        raise ProviderUnavailable(f"{url} answers more than 1 MiB")
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnavailable(f"{url}: {type(error).__name__}: {error}") from error
        return _object(url, status, bytes(body))


def _object(url: str, status: int, body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if 400 <= status < 500 and isinstance(answer, dict):  # noqa: PLR2004
        raise SignInRefused(f"{url} answers {status}: {answer.get('error', 'without a reason')!s}")
    if status != 200 or not isinstance(answer, dict):  # noqa: PLR2004
        raise ProviderUnavailable(f"{url} answers {status}, and no JSON object")
    return answer
