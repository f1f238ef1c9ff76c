"""The routes of usage and of the log of calls."""

from typing import Final

from admin_api import queries
from admin_api.logs import answers, export, handlers, refusal_answers, refusals, usage
from admin_api.route import Media, Route
from gateway.domain.roles import Permission

# fmt: off
ROUTES: Final = (
    Route("GET", r"/api/token/{id:[0-9]+}/usage", usage.of_token, Permission.TOKEN_READ,
          answers.TokenUsage, query=queries.UsageQuery),
    Route("GET", "/api/usage", handlers.show_usage, Permission.TOKEN_READ,
          answers.Usage, query=queries.CallSeriesQuery),
    Route("GET", "/api/log", handlers.list_calls, Permission.TOKEN_READ,
          answers.CallPart, query=queries.CallListQuery),
    Route("GET", "/api/log/self", handlers.list_own, Permission.TOKEN_READ,
          answers.OwnCallPart, query=queries.CallListQuery),
    Route("GET", "/api/log/export", export.export, Permission.TOKEN_READ,
          Media(("text/csv", "application/jsonl")), query=queries.ExportQuery),
    Route("GET", "/api/log/stat", handlers.sum_up, Permission.TOKEN_READ,
          answers.Pace, query=queries.CallQuery),
    Route("GET", "/api/log/self/stat", handlers.sum_up, Permission.TOKEN_READ,
          answers.Pace, query=queries.CallQuery),
    Route("GET", "/api/refusal", refusals.list_refusals, Permission.TOKEN_READ,
          refusal_answers.RefusalPart, query=queries.RefusalListQuery),
    Route("GET", "/api/refusal/series", refusals.show_series, Permission.TOKEN_READ,
          refusal_answers.RefusalUsage, query=queries.RefusalSeriesQuery),
)
# fmt: on
