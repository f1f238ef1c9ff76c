"""The call that somebody asks about, and what it asks an upstream for."""

from dataclasses import dataclass

from msgspec.structs import replace

from gateway.domain.ask import NO_ASK, Ask, Invalid, Path, read_ask, require_count, require_name
from gateway.domain.errors import Refusal
from gateway.domain.network import Address
from gateway.domain.passage_ask import PassageForm
from gateway.domain.pricing import Pricing
from gateway.domain.quota import ESTIMATED_BYTES_PER_TOKEN
from gateway.domain.routes import Route

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that might be made. `address` None: it was not said from where.

    What it asks for is in `body`; without one it is what `model`, `stream`, `max_output_tokens` and `input_tokens` say.
    """

    method: str = "POST"
    path: str = CHAT
    query: str = ""
    address: Address | None = None
    body: bytes | None = None
    model: str = ""
    stream: bool = False
    max_output_tokens: int | None = None
    input_tokens: int = 0

    def ask(self, route: Route) -> Ask | Refusal:
        """What is read of the call, or the refusal that names the member at fault."""
        says = Path() if route.says is None else route.says(self.path, self.query)
        if route.kind == "passage":
            return self._ask_of_passage()
        if self.body is not None:
            return read_ask(self.body, route.form, says)
        try:
            return self._imagined(route, says)
        except Invalid as error:
            return error.refusal

    def sized(self, ask: Ask, pricing: Pricing) -> Ask:
        """The ask with a size that counts as `input_tokens`, where there is no body that has one."""
        if self.body is not None or ask is NO_ASK:
            return ask
        per_token = pricing.model.bytes_per_token if pricing.strict else ESTIMATED_BYTES_PER_TOKEN
        return replace(ask, size_bytes=self.input_tokens * per_token)

    def _ask_of_passage(self) -> Ask | Refusal:
        if self.body:
            return read_ask(self.body, PassageForm(None))
        return replace(NO_ASK, model=self.model) if self.model else NO_ASK

    def _imagined(self, route: Route, says: Path) -> Ask:
        """Raises `Invalid`."""
        fields = route.form.max_fields
        maximum = self.max_output_tokens if fields else None
        return Ask(
            model=require_name(self.model if says.model is None else says.model),
            stream=self.stream if says.stream is None else says.stream,
            max_output_tokens=None if maximum is None else require_count(maximum, fields[0]),
            max_field=None if maximum is None else fields[0],
            choices=1,
            wants_usage=True,
            opaque=None,
            background=False,
            size_bytes=0,
        )
