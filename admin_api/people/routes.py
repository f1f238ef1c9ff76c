"""The routes of people."""

from typing import Final

from admin_api import answers, bodies
from admin_api.answers import Nothing
from admin_api.envelope import Code
from admin_api.people import own
from admin_api.route import Route
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

# fmt: off
ROUTES: Final = (
    Route("POST", "/api/user/login", own.login, Permission.PUBLIC,
          answers.Profile, bodies.LoginBody,
          declines=(Code.INVALID_LOGIN, Code.USER_DISABLED, Code.CROSS_SITE, Code.TOO_MANY_ATTEMPTS)),
    Route("POST", "/api/user/logout", own.logout, Permission.SELF, Nothing),
    Route("GET", "/api/user/self", own.show_self, Permission.SELF, answers.OwnProfile),
    Route("PUT", "/api/user/self", own.update_self, Permission.SELF, Nothing, bodies.SelfBody,
          declines=(Problem.WRONG_PASSWORD, Problem.NOT_FOUND, Code.TOO_MANY_ATTEMPTS)),
)
# fmt: on
