"""Which calls exist, in which dialect, and how their bodies are read. Pure.

The table's paths are exact: nothing is normalised, and what is not in it is refused.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.domain.anthropic_ask import MessagesForm
from gateway.domain.ask import Form, Path
from gateway.domain.cases import Case, refusal
from gateway.domain.catalog import Dialect, Dialects
from gateway.domain.dialects.anthropic import MessagesEnding, MessagesMeter
from gateway.domain.dialects.gemini import ContentEnding, ContentMeter
from gateway.domain.dialects.meter import Meter
from gateway.domain.dialects.openai import ChunksEnding, OpenAIMeter, RerankMeter
from gateway.domain.errors import Refusal
from gateway.domain.gemini_ask import ContentForm
from gateway.domain.openai_ask import OpenAIForm
from gateway.domain.passages import Metering, Rule, ids_in, name_of, rule_of
from gateway.domain.redaction import redact
from gateway.domain.usage import Usage

BASE_PATH = "/v1"


class EarlyEnd(Protocol):
    """Writes the last events of a stream that we end before its time."""

    def passed(self, data: bytes) -> None:
        """What the caller has been given."""

    def events(self, choices: int, usage: Usage | None) -> bytes:
        """The events that end it, as one that has reached its maximum; None: its usage is not asked for."""
        ...


_NO_FORM = OpenAIForm()


@dataclass(frozen=True, slots=True)
class Route:
    """A call of the data plane. `upstream_path` follows an upstream's base URL; `{model}` is its name for the model.

    `says` is what a path and query say of the ask, of dialects that name the model there. `default_max_output` is the
    bound that the provider documents for callers who name none, where it differs from the model's; `terminators` are
    how the lines begin that end a whole stream, `text_members` how the members of events end whose text is output.
    `early_end` is there where we can write the last events of a stream; only such streams are held for in steps.
    `metering`: whether tokens are charged by the usage, the call has a price, or is free. `rule` is a passage's.
    `others`: dialects whose upstreams its calls can be translated for.
    `makes`: its answer may be an object that stays at the upstream, and is asked for by its id later. `lists`: it may
    be a list of such.
    """

    name: str
    dialect: Dialect
    method: str
    upstream_path: str
    kind: Literal["forward", "passage", "models", "billing", "usage"] = "forward"
    form: Form = _NO_FORM
    says: Callable[[str, str], Path] | None = None
    has_output: bool = True
    default_max_output: int | None = None
    terminators: tuple[bytes, ...] = (b"data: [DONE]", b"data:[DONE]")
    text_members: tuple[bytes, ...] = ()
    meter: type[Meter] = OpenAIMeter
    early_end: Callable[[], EarlyEnd] | None = None
    metering: Literal["usage", "free", "call"] = "usage"
    rule: Rule | None = None
    makes: bool = False
    lists: bool = False
    others: Dialects = ()

    @property
    def dialects(self) -> Dialects:
        """Of which upstreams its calls can go to."""
        return (self.dialect, *self.others)


_MODELS = Route("models", "openai", "GET", "/models", kind="models")
_BILLING = Route("billing", "openai", "GET", "", kind="billing")
_USAGE = Route("usage", "openai", "GET", "", kind="usage")
_MESSAGES = Route(
    "messages",
    "anthropic",
    "POST",
    "/messages",
    form=MessagesForm(),
    terminators=(b"event: message_stop", b"event:message_stop"),
    text_members=(b'text":', b'partial_json":', b'thinking":'),
    meter=MessagesMeter,
    early_end=MessagesEnding,
    others=("openai", "gemini"),
)
_ROUTES = {
    "/v1/chat/completions": Route(
        "chat_completions",
        "openai",
        "POST",
        "/chat/completions",
        form=OpenAIForm(
            ("max_completion_tokens", "max_tokens"), usage_option=True, entries="messages"
        ),
        text_members=(b'content":', b'arguments":', b'reasoning":'),
        early_end=lambda: ChunksEnding("chat.completion.chunk"),
        others=("anthropic", "gemini"),
    ),
    # Callers who name no maximum get 16 tokens: https://platform.openai.com/docs/api-reference/completions/create
    "/v1/completions": Route(
        "completions",
        "openai",
        "POST",
        "/completions",
        form=OpenAIForm(("max_tokens",), usage_option=True, plain=("prompt",)),
        default_max_output=16,
        text_members=(b'text":',),
        early_end=lambda: ChunksEnding("text_completion"),
    ),
    "/v1/embeddings": Route(
        "embeddings",
        "openai",
        "POST",
        "/embeddings",
        form=OpenAIForm(plain=("input",)),
        has_output=False,
        others=("gemini",),
    ),
    "/v1/rerank": Route(
        "rerank",
        "openai",
        "POST",
        "/rerank",
        form=OpenAIForm(plain=("query", "documents")),
        has_output=False,
        meter=RerankMeter,
    ),
    "/v1/responses": Route(
        "responses",
        "openai",
        "POST",
        "/responses",
        # A stored prompt is an object.
        form=OpenAIForm(("max_output_tokens",), entries="input", plain=("prompt",)),
        terminators=(
            b"event: response.completed",
            b"event: response.incomplete",
            b"event: response.failed",
        ),
        text_members=(b'delta":',),
        makes=True,
        others=("anthropic", "gemini"),
    ),
    "/v1/models": _MODELS,
    **{
        f"{prefix}/dashboard/billing/{name}": _BILLING
        for prefix in ("", "/v1")
        for name in ("subscription", "usage")
    },
    "/api/usage/token": _USAGE,
    "/api/usage/token/": _USAGE,
    "/v1/messages": _MESSAGES,
    "/v1/messages/count_tokens": Route(
        "count_tokens",
        "anthropic",
        "POST",
        "/messages/count_tokens",
        form=MessagesForm(()),
        has_output=False,
        meter=MessagesMeter,
        metering="free",
        others=("gemini",),
    ),
}
# Whose other methods are nobody's.
_CLOSED = frozenset(
    {
        "/v1/completions",
        "/v1/embeddings",
        "/v1/rerank",
        "/v1/models",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
    }
)
_MODEL_PREFIXES = ("/v1/models/", "/v1beta/models/", "/v1alpha/models/")
_ACTION = re.compile(r"/(v1|v1beta|v1alpha)/models/([^/:]+):(\w+)")


def _contents_path(path: str, query: str) -> Path:
    """The model of a path; only events (`alt=sse`) are a stream to us, the other form is one long answer."""
    found = _ACTION.fullmatch(path)
    assert found is not None
    streams = found[3] == "streamGenerateContent" and "alt=sse" in query.split("&")
    return Path(found[2], streams)


def _contents(name: str, action: str, **differences: object) -> Route:
    """A call of Gemini's dialect, whose path names the model. https://ai.google.dev/api/all-methods."""
    common: dict[str, object] = {
        "form": ContentForm(),
        "says": _contents_path,
        "terminators": (),
        "text_members": (b'text":',),
        "meter": ContentMeter,
        "early_end": ContentEnding,
    }
    return Route(name, "gemini", "POST", f"/models/{{model}}:{action}", **{**common, **differences})  # type: ignore[arg-type]


_ACTIONS = {
    "generateContent": _contents(
        "generate_content", "generateContent", others=("openai", "anthropic")
    ),
    "streamGenerateContent": _contents(
        "stream_generate_content", "streamGenerateContent", others=("openai", "anthropic")
    ),
    "countTokens": _contents(
        "count_tokens", "countTokens", has_output=False, metering="free", others=("anthropic",)
    ),
    "embedContent": _contents(
        "embed_content", "embedContent", has_output=False, others=("openai",)
    ),
    "batchEmbedContents": _contents(
        "embed_content", "batchEmbedContents", has_output=False, others=("openai",)
    ),
}


def dialect_of(path: str) -> Dialect:
    """The dialect in which a path's caller expects even a refusal."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.startswith(("/v1beta/", "/v1alpha/")):
        return "gemini"
    if path.startswith("/v1/models/") and ":" in path and _ACTION.fullmatch(path):
        return "gemini"
    return "openai"


def find_route(
    method: str, path: str, base_url: Callable[[], str], own: Sequence[Rule] = ()
) -> Route | Refusal:
    """The route of a call, or the refusal that tells the right URL or method. `own` are the operator's rules."""
    route = _ROUTES.get(path) or _route_of_name(method, path)
    if route is not None and (
        method == route.method or (method == "HEAD" and route.kind not in _SENT_ON)
    ):
        return route
    rule = rule_of(method, path, own) if _is_passage(method, path) else None
    if path.startswith(_TWICE) and rule not in own:
        return _has_base_twice(method, path, base_url())
    if rule is not None and rule.metering is not Metering.NEVER:
        return _passage(method, path, rule)
    if route is None:
        return _unknown(method, path, base_url())
    told = {"path": path, "right": route.method, "method": method}
    return refusal(Case.WRONG_METHOD, told, details={"allow": route.method})


def is_forwarded(path: str) -> bool:
    """Whether a POST to this path is read as a whole before it is sent on."""
    route = _ROUTES.get(path) or _route_of_name("POST", path)
    return route is not None and route.kind == "forward"


_SENT_ON = frozenset({"forward", "passage"})  # what is answered here has a head, too
# What a passage's path consists of. Dots alone would be another path to whoever resolves them.
_PASSAGE = re.compile(r"/v1(/(?!\.{1,2}(/|$))[A-Za-z0-9_.:~@+-]+)+")
_TWICE = tuple(f"{BASE_PATH}/{version}/" for version in ("v1", "v1beta", "v1alpha"))
_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH"})


def _is_passage(method: str, path: str) -> bool:
    return method in _METHODS and path not in _CLOSED and _PASSAGE.fullmatch(path) is not None


def _passage(method: str, path: str, rule: Rule) -> Route:
    return Route(
        name_of(path),
        dialect_of(path),
        method,
        path.removeprefix(BASE_PATH),
        kind="passage",
        has_output=False,
        metering="call" if rule.metering is Metering.CALL else "free",
        terminators=(),
        rule=rule,
        makes=method == "POST",
        lists=method == "GET" and not ids_in(path),
    )


def _route_of_name(method: str, path: str) -> Route | None:
    """The route of a path that names a model."""
    action = _ACTION.fullmatch(path)
    if action is not None and (method == "POST" or action[3] in _ACTIONS):
        return _ACTIONS.get(action[3])
    if path in {"/v1beta/models", "/v1alpha/models"}:
        return _MODELS
    for prefix in _MODEL_PREFIXES:
        if path.startswith(prefix) and len(path) > len(prefix):
            return _MODELS
    return None


def _unknown(method: str, path: str, base_url: str) -> Refusal:
    base_url += BASE_PATH
    if path == "/":
        return refusal(Case.NO_PAGE, {"base_url": base_url})
    told = {"method": method, "path": redact(path), "base_url": base_url}
    if BASE_PATH + path in _ROUTES:
        return refusal(Case.PATH_LACKS_BASE, {**told, "lacks": BASE_PATH})
    slash = path.rstrip("/") in _ROUTES
    return refusal(Case.SLASH_AT_END if slash else Case.UNKNOWN_PATH, told)


def _has_base_twice(method: str, path: str, origin: str) -> Refusal:
    """The base URL was given with /v1 to an SDK that adds the version itself, as Anthropic's and Google's do."""
    right = redact(origin + path.removeprefix(BASE_PATH))
    told = {"method": method, "path": redact(path), "right": right, "origin": origin}
    return refusal(Case.PATH_HAS_BASE_TWICE, told)


def dialects_called(dialect: Dialect) -> Dialects:
    """Whose models a caller of a dialect can have: those of its own upstreams, and what is translated for others."""
    return (dialect, *_OTHERS[dialect])


_OTHERS: dict[Dialect, Dialects] = {
    "openai": _ROUTES["/v1/chat/completions"].others,
    "anthropic": _MESSAGES.others,
    "gemini": _ACTIONS["generateContent"].others,
}
