"""The routes of registration, links, invites and signing in."""

from typing import Annotated, Final

from pydantic import Field

from admin_api.answers import Nothing
from admin_api.envelope import Code
from admin_api.people import (
    invites,
    link_answers,
    link_bodies,
    links,
    registration,
    sign_in,
)
from admin_api.queries import PageQuery, Query, Text
from admin_api.route import Header, Redirect, Route
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

_VISITOR: Final = (Code.CROSS_SITE,)
_SIGN_IN: Final = (Code.SIGN_IN_NOT_SET_UP, Code.PROVIDER_UNAVAILABLE)
_LETTER: Final = (Code.MAIL_NOT_SET_UP, Code.TOO_MANY_ATTEMPTS)


class InviteQuery(PageQuery):
    """Which invites, and which page of them."""

    keyword: Text = ""
    """What the address has to contain that it was sent to."""


class SignInQuery(Query):
    """How somebody signs in."""

    invite: Text = ""
    """For who is to become a user by one."""


class CallbackQuery(Query):
    """What the OpenID provider sends along."""

    state: Text = ""
    """Of this sign-in."""
    code: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] = ""
    """By which it tells who signed in."""
    error: Text = ""
    """Why it does not."""


# fmt: off
ROUTES: Final = (
    Route("POST", "/api/user/register", registration.register, Permission.PUBLIC,
          link_answers.Registered, link_bodies.RegisterBody,
          declines=(*_VISITOR, Code.REGISTRATION_CLOSED, Code.INVALID_INVITE, Problem.NAME_TAKEN, Problem.EMAIL_TAKEN,
                    Code.TOO_MANY_ATTEMPTS)),
    Route("POST", "/api/user/reset", links.ask_reset, Permission.PUBLIC,
          Nothing, link_bodies.AskResetBody, declines=(*_VISITOR, *_LETTER)),
    Route("PUT", "/api/user/reset", links.reset, Permission.PUBLIC,
          Nothing, link_bodies.ResetBody, declines=(*_VISITOR, Code.INVALID_LINK)),
    Route("POST", "/api/user/self/verify", links.ask_verification, Permission.SELF,
          Nothing, declines=(*_LETTER, Problem.INVALID_FIELD)),
    Route("POST", "/api/user/verify", links.verify, Permission.PUBLIC,
          Nothing, link_bodies.VerifyBody, declines=(*_VISITOR, Code.INVALID_LINK)),
    Route("GET", "/api/invite", invites.list_page, Permission.USER_READ,
          link_answers.InvitePage, query=InviteQuery),
    Route("POST", "/api/invite", invites.create, Permission.USER_WRITE,
          link_answers.CreatedInvite, link_bodies.InviteBody, headers=(Header.IDEMPOTENCY_KEY,),
          declines=(Code.MAIL_NOT_SET_UP, Code.REGISTRATION_CLOSED, Problem.IDEMPOTENCY_KEY_REUSED)),
    Route("DELETE", "/api/invite/{id:[0-9]+}", invites.revoke, Permission.USER_WRITE, Nothing),
    Route("GET", "/api/oidc/login", sign_in.begin, Permission.PUBLIC,
          Redirect("the OpenID provider"), query=SignInQuery,
          declines=(*_SIGN_IN, Code.TOO_MANY_ATTEMPTS, Problem.INVALID_FIELD)),
    Route("GET", "/api/oidc/callback", sign_in.finish, Permission.PUBLIC,
          Redirect("the console"), query=CallbackQuery,
          declines=(*_SIGN_IN, Code.SIGN_IN_FAILED, Code.REGISTRATION_CLOSED, Code.INVALID_INVITE,
                    Code.USER_DISABLED, Code.STORE_UNAVAILABLE, Problem.NAME_TAKEN, Problem.EMAIL_TAKEN,
                    Problem.INVALID_FIELD)),
)
# fmt: on
