"""Who calls, and what they may do: access tokens, session cookies, roles, same-origin.

Model keys (`sk-…`) open nothing here. A cookie alone proves little, so whatever changes something
with one must come from our own pages
(https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html).
"""

from urllib.parse import urlsplit

from aiohttp import web

from admin_api.context import ADDRESS, SERVICES, Caller, Services
from admin_api.cookies import session_in
from admin_api.envelope import Code, Declined
from gateway.domain.network import Blocks, caller, hops_of, parse_address
from gateway.domain.roles import ROLES, Permission
from gateway.store.people import User, find_access
from gateway.store.sessions import find_session

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_MAX_COOKIE_CHARACTERS = 128


def find_address(request: web.Request, services: Services) -> None:
    """Note the caller's address on the request, where there is one."""
    if request.remote is None:
        return
    try:
        peer = parse_address(request.remote)
    except ValueError:
        return
    header = services.config.admin.client_header
    hops = hops_of(header, lines) if (lines := request.headers.getall(header, [])) else []
    if (address := caller(peer, hops, services.proxies)) is not None:
        request[ADDRESS] = address


async def authenticate(request: web.Request) -> Caller:
    """The caller. Raises `Declined` with the reason and `StoreUnavailable`."""
    services = request.app[SERVICES]
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        found = await _by_access_token(request, services, authorization)
    else:
        found = await _by_session(request, services)
    _check_user_header(request, found.user)
    if not found.user.enabled:
        raise Declined(
            Code.USER_DISABLED, "This user is disabled; an administrator can enable them."
        )
    return found


def authorize(caller: Caller, permission: Permission) -> None:
    """Raises `Declined` unless the caller may do what the route asks for."""
    if permission is not Permission.SELF:
        require_own_password(caller)
    if not caller.may(permission):
        raise Declined(
            Code.FORBIDDEN,
            f"This needs the permission {permission}, which the role {caller.user.role!r} or "
            "the scopes of the access token do not give.",
        )


def require_own_password(caller: Caller) -> None:
    """Raises `Declined` for the session of a one-time password: with it one chooses another, and no more."""
    if caller.session is not None and caller.user.password_once:
        raise Declined(
            Code.PASSWORD_CHANGE_REQUIRED,
            "This is a one-time password: choose your own first, with PUT /api/user/self "
            '{"original_password": …, "password": …}.',
        )


def check_same_origin(request: web.Request, *, unknown_is_ours: bool) -> None:
    """Refuse what a page of another site makes a browser send.

    Programs send neither header; `unknown_is_ours` says whether they are let through.
    """
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        ours = site == "same-origin"
    elif origin is not None:
        public_url = request.app[SERVICES].config.admin.public_url
        ours = urlsplit(origin).netloc in {
            request.host,
            urlsplit(public_url).netloc or request.host,
        }
    else:
        ours = unknown_is_ours
    if not ours:
        raise Declined(
            Code.CROSS_SITE,
            "Changes with a session cookie are taken from the console's own pages only; programs "
            "use an access token in the Authorization header.",
        )


def check_json_type(request: web.Request) -> None:
    """Refuse a body that a foreign page could send without asking: anything but JSON."""
    if request.content_type != "application/json":
        raise Declined(
            Code.UNSUPPORTED_MEDIA_TYPE, "Send the body with Content-Type: application/json."
        )


async def _by_access_token(request: web.Request, services: Services, authorization: str) -> Caller:
    scheme, _, rest = authorization.strip().partition(" ")
    token = rest.strip() if scheme.lower() == "bearer" else authorization.strip()
    if token.startswith("sk-"):
        raise Declined(
            Code.MODEL_KEY_NOT_ACCEPTED,
            "This is a model key: it opens the gateway, not this API. "
            "Send an access token (tht_…) instead.",
            _CHALLENGE,
        )
    grant = await find_access(services.pool, token, services.pepper) if token.isascii() else None
    if grant is None:
        raise Declined(
            Code.INVALID_ACCESS_TOKEN,
            "The access token is unknown, expired or mistyped; send Authorization: Bearer tht_….",
            _CHALLENGE,
        )
    address = request.get(ADDRESS)
    if grant.allow_ips and (address is None or address not in Blocks.of(grant.allow_ips)):
        shown = "unknown" if address is None else address.text
        raise Declined(
            Code.ADDRESS_NOT_ALLOWED,
            f"This access token may not be used from your address ({shown}).",
        )
    permissions = ROLES[grant.user.role]
    if grant.scopes:
        permissions = frozenset(each for each in permissions if each in grant.scopes)
    return Caller(grant.user, permissions, access=grant)


async def _by_session(request: web.Request, services: Services) -> Caller:
    value = session_in(request)
    if not value:
        raise Declined(
            Code.NOT_AUTHENTICATED,
            "Send an access token as Authorization: Bearer tht_…, or log in at /api/user/login.",
            _CHALLENGE,
        )
    user = None
    if len(value) <= _MAX_COOKIE_CHARACTERS and value.isascii():
        user = await find_session(services.pool, value, services.pepper)
    if user is None:
        raise Declined(Code.NOT_AUTHENTICATED, "The session has ended; log in again.", _CHALLENGE)
    if request.method not in _SAFE_METHODS:
        check_same_origin(request, unknown_is_ours=False)
        if request.body_exists:
            check_json_type(request)
    return Caller(user, ROLES[user.role], session=value)


def _check_user_header(request: web.Request, user: User) -> None:
    claimed = request.headers.get("New-Api-User")
    if claimed is None:
        return
    if not (claimed.isascii() and claimed.isdigit()):
        raise Declined(Code.USER_MISMATCH, "New-Api-User must be a number: the id of your user.")
    if claimed.lstrip("0") != str(user.id):
        raise Declined(
            Code.USER_MISMATCH,
            "New-Api-User is not the user of this access token; send your own id, "
            "or leave the header out.",
        )
