"""The routes of wallets."""

from typing import Final

from admin_api.answers import Nothing
from admin_api.envelope import Code
from admin_api.queries import PageQuery
from admin_api.route import Header, Route
from admin_api.wallets import (
    accounts,
    answers,
    bodies,
    grants,
    members,
    queries,
    redeem,
    subscriptions,
)
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

_ONE = r"/api/account/{id:[0-9]+}"
_MEMBER = f"{_ONE}/member/{{user_id:[0-9]+}}"
_GROUP = f"{_ONE}/subscription/{{group:[^/]+}}"
_MANAGES: Final = (Problem.MEMBER_ROLE_REQUIRED,)
_EDITS: Final = (*_MANAGES, Problem.VERSION_MISMATCH)
_ONCE: Final = (Problem.IDEMPOTENCY_KEY_REUSED,)
_GUESSES: Final = (Problem.NOT_FOUND, Problem.CODE_NOT_USABLE, Code.TOO_MANY_ATTEMPTS)

# fmt: off
ROUTES: Final = (
    Route("GET", "/api/account", accounts.list_page, Permission.ACCOUNT_READ,
          answers.AccountPage, query=queries.AccountsQuery),
    Route("POST", "/api/account", accounts.create, Permission.ACCOUNT_WRITE_ANY,
          answers.Account, bodies.AccountBody, headers=(Header.IDEMPOTENCY_KEY,),
          declines=(Problem.NOT_FOUND, *_ONCE)),
    Route("GET", _ONE, accounts.show, Permission.ACCOUNT_READ, answers.AccountDetails),
    Route("PATCH", _ONE, accounts.update, Permission.ACCOUNT_WRITE,
          answers.Account, bodies.AccountUpdate, headers=(Header.IF_MATCH,), declines=_EDITS),
    Route("GET", f"{_ONE}/member", members.list_page, Permission.ACCOUNT_READ,
          answers.MemberPage, query=PageQuery),
    Route("POST", f"{_ONE}/member", members.add, Permission.ACCOUNT_WRITE,
          answers.Member, bodies.MemberBody,
          declines=(*_MANAGES, Problem.ALREADY_MEMBER, Code.TOO_MANY_ATTEMPTS)),
    Route("PATCH", _MEMBER, members.update, Permission.ACCOUNT_WRITE,
          answers.Member, bodies.MemberUpdate, headers=(Header.IF_MATCH,),
          declines=(*_EDITS, Problem.LAST_OWNER)),
    Route("DELETE", _MEMBER, members.remove, Permission.ACCOUNT_WRITE,
          Nothing, headers=(Header.IF_MATCH,), declines=(*_EDITS, Problem.LAST_OWNER)),
    Route("GET", f"{_ONE}/subscription", subscriptions.list_all, Permission.ACCOUNT_READ,
          list[answers.Subscription]),
    Route("PUT", _GROUP, subscriptions.put, Permission.ACCOUNT_WRITE_ANY,
          answers.Subscription, bodies.SubscriptionBody, headers=(Header.IF_MATCH,),
          declines=(Problem.VERSION_MISMATCH,)),
    Route("DELETE", _GROUP, subscriptions.end, Permission.ACCOUNT_WRITE_ANY,
          answers.Subscription, headers=(Header.IF_MATCH,), declines=(Problem.VERSION_MISMATCH,)),
    Route("POST", f"{_ONE}/grant", grants.grant, Permission.ACCOUNT_WRITE_ANY,
          answers.Granted, bodies.GrantBody, headers=(Header.IDEMPOTENCY_KEY,), declines=_ONCE),
    Route("POST", f"{_ONE}/top_up", grants.book_payment, Permission.ACCOUNT_WRITE_ANY,
          answers.Granted, bodies.TopUpBody, declines=(Problem.REFERENCE_REUSED,)),
    Route("GET", f"{_ONE}/history", grants.show_history, Permission.ACCOUNT_READ,
          answers.History, query=queries.HistoryQuery, declines=_MANAGES),
    Route("GET", "/api/redeem", redeem.list_page, Permission.ACCOUNT_READ_ANY,
          answers.CodePage, query=queries.CodesQuery),
    Route("POST", "/api/redeem", redeem.create, Permission.ACCOUNT_WRITE_ANY,
          answers.Codes, bodies.CodesBody, headers=(Header.IDEMPOTENCY_KEY,), declines=_ONCE),
    Route("POST", "/api/redeem/revoke", redeem.revoke, Permission.ACCOUNT_WRITE_ANY,
          int, bodies.RevokeBody),
    Route("POST", "/api/redeem/use", redeem.use, Permission.ACCOUNT_WRITE,
          answers.Granted, bodies.CodeBody, declines=_GUESSES),
    Route("POST", "/api/user/topup", redeem.top_up, Permission.ACCOUNT_WRITE,
          int, bodies.CodeBody, declines=_GUESSES),
)
# fmt: on
