"""The routes of warnings."""

from typing import Final

from admin_api.answers import Nothing
from admin_api.envelope import Code
from admin_api.route import Route
from admin_api.warnings import answers, bodies, handlers, listing, queries, trying
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

# fmt: off
ROUTES: Final = (
    Route("GET", "/api/webhook", handlers.list_own, Permission.SELF, list[answers.WebhookObject]),
    Route("POST", "/api/webhook", handlers.create, Permission.SELF,
          answers.CreatedWebhook, bodies.WebhookBody),
    Route("DELETE", r"/api/webhook/{id:[0-9]+}", handlers.delete, Permission.SELF, Nothing,
          declines=(Problem.NOT_FOUND,)),
    Route("GET", "/api/warning", listing.list_warnings, Permission.SELF, answers.WarningPart,
          query=queries.WarningListQuery),
    Route("GET", "/api/warning/standing", listing.list_standing, Permission.SELF,
          answers.StandingList, query=queries.StandingQuery),
    Route("GET", "/api/warning/operator", trying.show_operator, Permission.AUDIT_READ, answers.Operator),
    Route("POST", "/api/warning/operator/test", trying.try_operator, Permission.CATALOG_WRITE,
          answers.WebhookTest, declines=(Problem.NOT_FOUND, Code.TOO_MANY_ATTEMPTS)),
    Route("POST", r"/api/webhook/{id:[0-9]+}/test", trying.try_own, Permission.SELF,
          answers.WebhookTest, declines=(Problem.NOT_FOUND, Code.TOO_MANY_ATTEMPTS)),
)
# fmt: on
