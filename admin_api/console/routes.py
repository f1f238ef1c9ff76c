"""The routes of the console."""

from typing import Final

from admin_api.console import handlers
from admin_api.envelope import Code
from admin_api.route import Media, Route
from gateway.domain.roles import Permission

_HTML = Media(("text/html",))
_FILES = Media(("text/javascript", "text/css", "application/json", "image/svg+xml"))
_PICTURE = Media(("image/svg+xml", "image/png"))

# fmt: off
ROUTES: Final = (
    Route("GET", "/", handlers.page, Permission.PUBLIC, _HTML),
    Route("GET", "/link", handlers.link, Permission.PUBLIC, _HTML),
    Route("GET", "/console/logo", handlers.logo, Permission.PUBLIC, _PICTURE,
          declines=(Code.UNKNOWN_URL,)),
    Route("GET", "/console/{release:[0-9a-f]+}/{path:.+}", handlers.file, Permission.PUBLIC, _FILES,
          declines=(Code.UNKNOWN_URL,)),
)
# fmt: on
