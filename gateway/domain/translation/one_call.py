"""One call on its way to one upstream of another dialect, and the answer on its way back. Pure."""

from typing import NamedTuple, Protocol

from gateway.domain.ask import Ask, Invalid
from gateway.domain.cases import Case, refusal
from gateway.domain.catalog import Dialect, Form, Model, Upstream
from gateway.domain.errors import Refusal
from gateway.domain.routes import Route
from gateway.domain.translation.answers import Fault
from gateway.domain.translation.codec import Codec, Losses, Uncarried


class Asked(NamedTuple):
    """A call, and the upstream that it is for. `form`: of OpenAI's dialect, in which it takes calls of other dialects.

    `model` is what the caller calls the model, `model_name` what the upstream does; `max_output_tokens` is what the
    answer may have where the caller does not say, `max_field` where that stands in OpenAI's dialect, `leave_out` what
    the upstream need not be told. `thinks`: the model is known to, unseen. `now` is in Unix seconds.
    """

    route: Route
    dialect: Dialect
    form: Form
    body: bytes
    model: str
    model_name: str
    stream: bool
    max_output_tokens: int
    max_field: str
    leave_out: frozenset[str]
    thinks: bool
    now: int


def asked_of(
    route: Route,
    upstream: Upstream,
    model: Model,
    model_name: str,
    ask: Ask,
    body: bytes,
    *,
    max_output: int | None,
    now: int,
) -> Asked:
    """A call as `upstream` is to have it, under its own name for the model; `max_output` is what the hold allows."""
    default = min(
        model.default_output_tokens, model.max_output_tokens or model.default_output_tokens
    )
    return Asked(
        route=route,
        dialect=upstream.dialect,
        form=upstream.form,
        body=body,
        model=ask.model,
        model_name=model_name,
        stream=ask.stream,
        max_output_tokens=max_output or default,
        max_field=upstream.max_field(model, ("max_completion_tokens", "max_tokens")),
        leave_out=upstream.leave_out,
        thinks=model.hides_output,
        now=now,
    )


class Untranslatable(Exception):
    """A call that its upstream's dialect has no way to say; `refusal` names the member."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Events(Protocol):
    """A stream of an upstream, translated as it comes. `is_counted`: it has told what was used."""

    is_counted: bool

    def feed(self, data: bytes) -> bytes:
        """The caller's events of what came. Raises `BadAnswer`, which has those before what is bad."""
        ...

    def end(self) -> bytes:
        """The same, of an upstream that has sent all."""
        ...


class Translation:
    """What every kind of call does of its own in `_write`, and with a whole answer.

    `path` is below the upstream's base URL, `dropped` what was left out. `is_counted`: what was used is told by the
    answer, or needs not be told. Raises `Untranslatable`.
    """

    def __init__(self, asked: Asked, caller: Codec, upstream: Codec) -> None:
        self.asked = asked
        self.caller = caller
        self.upstream = upstream
        self.is_counted = True
        self.path = ""
        losses = Losses(asked.leave_out, caller.PARAMS)
        try:
            self.body = self._write(losses)
        except Invalid as error:
            raise Untranslatable(error.refusal) from None
        except Uncarried as uncarried:
            raise Untranslatable(self._refusal_of(uncarried)) from None
        self.dropped = tuple(losses.dropped)

    def _write(self, losses: Losses) -> bytes:
        """The upstream's body; sets `path`. Raises `Invalid` and `Uncarried`."""
        raise NotImplementedError

    def whole(self, body: bytes) -> bytes:
        """A whole answer in the caller's dialect. Raises `BadAnswer`."""
        raise NotImplementedError

    def events(self, most_bytes: int) -> "Events":
        """What becomes of a stream of events, of which none may have more bytes."""
        raise NotImplementedError

    def fault(self, status: int, body: bytes) -> Fault:
        """An error of the upstream's."""
        return self.upstream.read_fault(status, body)

    def _refusal_of(self, error: Uncarried) -> Refusal:
        param = error.param or self.caller.PARAMS.get(error.member, error.member)
        told = {
            "member": param,
            "model": self.asked.model,
            "dialect": self.asked.dialect,
            "why": error.why,
        }
        return refusal(Case.UNCARRIED, told, param=param)
