"""What an OpenID provider says of somebody who signs in, once it is shown that the provider says it, to us and now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gateway.domain.emails import is_email

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "EdDSA",
)
"""Those by which only the provider can sign; never `none`, and none with a shared secret."""

_LEEWAY_S = 60
_MAX_SUBJECT_CHARACTERS = 255  # OpenID Connect Core 1.0 section 2


class BadIdToken(Exception):
    """An ID token that does not show who signs in."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at a provider. `email` is None unless the provider has verified it."""

    issuer: str
    subject: str
    email: str | None
    name: str
    """What their username may be made of; empty where nothing is told."""


def claims_of(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: int
) -> Mapping[str, Any]:
    """The claims of an ID token (OpenID Connect Core 1.0 section 3.1.3.7). Raises `BadIdToken`."""
    rules = jwt.JWTClaimsRegistry(
        now,
        _LEEWAY_S,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        rules.validate(claims)
    except (JoseError, ValueError) as error:
        raise BadIdToken(f"{type(error).__name__}: {error}") from error
    audience: Any = claims["aud"]
    is_shared = not isinstance(audience, str) and len(audience) > 1
    if claims.get("azp", None if is_shared else client_id) != client_id:
        raise BadIdToken("it is for somebody else (azp)")
    subject: Any = claims["sub"]
    if not (isinstance(subject, str) and 0 < len(subject) <= _MAX_SUBJECT_CHARACTERS):
        raise BadIdToken("its subject (sub) is no text, empty or too long")
    return claims


def person_of(claims: Mapping[str, Any]) -> Person:
    """Who they are, as far as it may be relied upon."""
    email = claims.get("email")
    verified = claims.get("email_verified") is True and isinstance(email, str) and is_email(email)
    told: Sequence[Any] = (
        claims.get("preferred_username"),
        email.partition("@")[0] if isinstance(email, str) else None,
        claims.get("name"),
    )
    return Person(
        claims["iss"],
        claims["sub"],
        email if verified else None,
        next((each for each in told if isinstance(each, str) and each), ""),
    )
