"""The routes of people."""

from typing import Final

from admin_api.answers import Nothing
from admin_api.envelope import Code
from admin_api.people import access_tokens, audit, own, reach, sessions, users
from admin_api.people.answers import (
    AccessToken,
    AuditPart,
    CreatedAccessToken,
    CreatedUser,
    Group,
    Offer,
    OwnProfile,
    Password,
    Profile,
    Session,
    User,
    UserPage,
)
from admin_api.people.bodies import (
    AccessTokenBody,
    CreateUserBody,
    LoginBody,
    ManageBody,
    PutUserBody,
    SelfBody,
    UpdateUserBody,
)
from admin_api.people.queries import AuditListQuery, UserListQuery
from admin_api.route import Header, Route
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

_SELF = "/api/user/self"
_USER = r"/api/user/{id:[0-9]+}"
_THEIRS = r"/api/user/{user_id:[0-9]+}"
_ONE = r"{id:[0-9]+}"
_CHANGES: Final = (Problem.VERSION_MISMATCH, Problem.LAST_OWNER)
_EDITS: Final = (*_CHANGES, Problem.ROLE_NOT_ALLOWED, Problem.EMAIL_TAKEN)
_MAKES: Final = (
    *(Problem.NAME_TAKEN, Problem.EMAIL_TAKEN, Problem.ROLE_NOT_ALLOWED),
    Problem.IDEMPOTENCY_KEY_REUSED,
)

# fmt: off
ROUTES: Final = (
    Route("POST", "/api/user/login", own.login, Permission.PUBLIC,
          Profile, LoginBody,
          declines=(Code.INVALID_LOGIN, Code.USER_DISABLED, Code.CROSS_SITE, Code.TOO_MANY_ATTEMPTS)),
    Route("POST", "/api/user/logout", own.logout, Permission.SELF, Nothing),
    Route("GET", _SELF, own.show_self, Permission.SELF, OwnProfile),
    Route("PUT", _SELF, own.update_self, Permission.SELF, Nothing, SelfBody,
          declines=(Problem.WRONG_PASSWORD, Problem.NOT_FOUND, Problem.EMAIL_TAKEN, Code.TOO_MANY_ATTEMPTS)),
    Route("GET", f"{_SELF}/session", sessions.list_them, Permission.SELF, list[Session]),
    Route("DELETE", f"{_SELF}/session", sessions.end_others, Permission.SELF, int),
    Route("DELETE", f"{_SELF}/session/{_ONE}", sessions.end_one, Permission.SELF, Nothing),
    Route("GET", f"{_SELF}/access_token", access_tokens.list_them, Permission.SELF, list[AccessToken]),
    Route("POST", f"{_SELF}/access_token", access_tokens.create, Permission.SELF,
          CreatedAccessToken, AccessTokenBody, headers=(Header.IDEMPOTENCY_KEY,),
          declines=(Code.PASSWORD_CHANGE_REQUIRED, Problem.TOO_MANY_SECRETS, Problem.IDEMPOTENCY_KEY_REUSED)),
    Route("DELETE", f"{_SELF}/access_token/{_ONE}", access_tokens.delete, Permission.SELF, Nothing),
    Route("GET", f"{_SELF}/groups", reach.list_groups, Permission.CATALOG_READ, dict[str, Group]),
    Route("GET", "/api/user/groups", reach.list_groups, Permission.CATALOG_READ, dict[str, Group]),
    Route("GET", "/api/user/models", reach.list_models, Permission.CATALOG_READ, list[str]),
    Route("GET", f"{_SELF}/models", reach.list_offers, Permission.CATALOG_READ, list[Offer]),
    Route("GET", "/api/user", users.list_page, Permission.USER_READ, UserPage, query=UserListQuery),
    Route("GET", "/api/user/search", users.list_page, Permission.USER_READ,
          UserPage, query=UserListQuery),
    Route("POST", "/api/user", users.create, Permission.USER_WRITE,
          CreatedUser, CreateUserBody, headers=(Header.IDEMPOTENCY_KEY,), declines=_MAKES),
    Route("PUT", "/api/user", users.update_by_body, Permission.USER_WRITE,
          User, PutUserBody, headers=(Header.IF_MATCH,), declines=(*_EDITS, Problem.NOT_FOUND)),
    Route("POST", "/api/user/manage", users.manage, Permission.USER_WRITE,
          User, ManageBody, declines=(Problem.NOT_FOUND, Problem.LAST_OWNER, Problem.ROLE_NOT_ALLOWED)),
    Route("GET", _USER, users.show, Permission.USER_READ, User),
    Route("PATCH", _USER, users.update_by_path, Permission.USER_WRITE,
          User, UpdateUserBody, headers=(Header.IF_MATCH,), declines=_EDITS),
    Route("DELETE", _USER, users.delete, Permission.USER_WRITE,
          Nothing, headers=(Header.IF_MATCH,), declines=_CHANGES),
    Route("POST", f"{_USER}/password", users.renew, Permission.USER_WRITE, Password),
    Route("GET", f"{_THEIRS}/session", sessions.list_them, Permission.USER_WRITE, list[Session]),
    Route("DELETE", f"{_THEIRS}/session", sessions.end_others, Permission.USER_WRITE, int),
    Route("GET", f"{_THEIRS}/access_token", access_tokens.list_them, Permission.USER_WRITE,
          list[AccessToken]),
    Route("DELETE", f"{_THEIRS}/access_token/{_ONE}", access_tokens.delete, Permission.USER_WRITE,
          Nothing),
    Route("GET", "/api/audit", audit.list_rows, Permission.AUDIT_READ, AuditPart, query=AuditListQuery),
)
# fmt: on
