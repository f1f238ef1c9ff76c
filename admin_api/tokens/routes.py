"""The routes of tokens."""

from typing import Final

from admin_api import queries
from admin_api.answers import Nothing, Reservation
from admin_api.envelope import Code
from admin_api.explain import answers as explained
from admin_api.explain import handlers as explaining
from admin_api.explain.bodies import ExplainBody
from admin_api.route import Header, Media, Route
from admin_api.tokens import answers, batches, bodies, handlers, playground, secrets
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

_ALL: Final = "/api/token"
_ONE: Final = r"/api/token/{id:[0-9]+}"
_CHANGES: Final = (Problem.GROUP_NOT_ALLOWED,)
_ONCE: Final = (Problem.IDEMPOTENCY_KEY_REUSED,)
_REVEALS: Final = (Problem.NOT_FOUND, Code.KEY_NOT_RECOVERABLE, Code.TOO_MANY_ATTEMPTS)

# fmt: off
ROUTES: Final = (
    Route("GET", _ALL, handlers.list_page, Permission.TOKEN_READ,
          answers.TokenPage, query=queries.ListQuery),
    Route("GET", f"{_ALL}/search", handlers.list_page, Permission.TOKEN_READ,
          answers.TokenPage, query=queries.ListQuery),
    Route("POST", _ALL, handlers.create, Permission.TOKEN_WRITE,
          answers.CreatedToken | answers.CreatedTokens, bodies.CreateBody,
          headers=(Header.IDEMPOTENCY_KEY,),
          declines=(*_CHANGES, Problem.NOT_FOUND, Problem.TOKEN_LIMIT_REACHED,
                    Code.EMAIL_NOT_VERIFIED, *_ONCE)),
    Route("PUT", _ALL, handlers.update_by_body, Permission.TOKEN_WRITE,
          answers.Token, bodies.PutBody, queries.UpdateQuery, (Header.IF_MATCH,),
          declines=(*_CHANGES, Problem.NOT_FOUND, Problem.VERSION_MISMATCH)),
    Route("POST", f"{_ALL}/find", secrets.find, Permission.TOKEN_READ,
          answers.TokenWithSecrets, bodies.FindBody, declines=(Problem.NOT_FOUND,)),
    Route("POST", f"{_ALL}/batch", batches.delete_batch, Permission.TOKEN_WRITE,
          int, bodies.IdsBody, declines=(Problem.NOT_FOUND,)),
    Route("POST", f"{_ALL}/batch/status", batches.set_status, Permission.TOKEN_WRITE,
          int, bodies.BatchStatusBody, declines=(Problem.NOT_FOUND,)),
    Route("POST", f"{_ALL}/batch/keys", secrets.reveal_many, Permission.TOKEN_REVEAL,
          answers.Keys, bodies.IdsBody, declines=_REVEALS),
    Route("GET", _ONE, handlers.show, Permission.TOKEN_READ, answers.TokenWithQuota),
    Route("GET", f"{_ONE}/reservations", handlers.list_reservations, Permission.TOKEN_READ,
          list[Reservation]),
    Route("POST", f"{_ONE}/explain", explaining.explain, Permission.TOKEN_READ,
          explained.Explanation, ExplainBody),
    Route("PATCH", _ONE, handlers.update_by_path, Permission.TOKEN_WRITE,
          answers.Token, bodies.UpdateBody, queries.UpdateQuery, (Header.IF_MATCH,),
          declines=(*_CHANGES, Problem.VERSION_MISMATCH)),
    Route("DELETE", _ONE, handlers.delete, Permission.TOKEN_WRITE,
          Nothing, headers=(Header.IF_MATCH,), declines=(Problem.VERSION_MISMATCH,)),
    Route("POST", f"{_ONE}/rotate", secrets.rotate, Permission.TOKEN_WRITE,
          answers.RotatedToken, bodies.RotateBody, headers=(Header.IF_MATCH, Header.IDEMPOTENCY_KEY),
          declines=(Problem.VERSION_MISMATCH, Problem.TOO_MANY_SECRETS, *_ONCE)),
    Route("DELETE", f"{_ONE}/rotate", secrets.stop_overlap, Permission.TOKEN_WRITE,
          answers.TokenWithSecrets, headers=(Header.IF_MATCH,), declines=(Problem.VERSION_MISMATCH,)),
    Route("POST", f"{_ONE}/key", secrets.reveal_one, Permission.TOKEN_REVEAL,
          answers.Key, declines=_REVEALS),
    Route("POST", f"{_ONE}/playground", playground.chat, Permission.TOKEN_WRITE,
          Media(("application/json", "text/event-stream")), playground.PlaygroundBody,
          declines=(Code.GATEWAY_UNAVAILABLE, Code.TOO_MANY_ATTEMPTS)),
)
# fmt: on
