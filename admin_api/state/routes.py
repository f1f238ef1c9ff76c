"""The routes of the installation's state."""

from typing import Final

from admin_api.envelope import Code
from admin_api.route import Route
from admin_api.state import answers, handlers
from gateway.domain.roles import Permission

# fmt: off
ROUTES: Final = (
    Route("GET", "/api/state", handlers.show, Permission.CATALOG_READ_ANY, answers.State),
    Route("GET", "/api/reservation", handlers.list_running, Permission.TOKEN_READ_ANY,
          list[answers.RunningCall], declines=(Code.STORE_UNAVAILABLE,)),
)
# fmt: on
