"""The routes of warnings."""

from typing import Final

from admin_api.answers import Nothing
from admin_api.route import Route
from admin_api.warnings import answers, bodies, handlers
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

# fmt: off
ROUTES: Final = (
    Route("GET", "/api/webhook", handlers.list_own, Permission.SELF, list[answers.WebhookObject]),
    Route("POST", "/api/webhook", handlers.create, Permission.SELF,
          answers.CreatedWebhook, bodies.WebhookBody),
    Route("DELETE", r"/api/webhook/{id:[0-9]+}", handlers.delete, Permission.SELF, Nothing,
          declines=(Problem.NOT_FOUND,)),
)
# fmt: on
