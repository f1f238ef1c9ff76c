"""Which calls exist, in which dialect, and how their bodies are read. Pure.

The table's paths are exact: nothing is normalised, and what is not in it is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.domain.ask import Form
from gateway.domain.catalog import Dialect
from gateway.domain.errors import Reason, Refusal

BASE_PATH = "/v1"


_NOTHING_READ = Form()


@dataclass(frozen=True, slots=True)
class Route:
    """A call of the data plane. `upstream_path` follows an upstream's base URL.

    `default_max_output` is the bound that the provider documents for callers who name none, where it differs from
    the model's; `terminators` are how the lines begin that end a whole stream, `text_members` how the members of events
    end whose text is output. `stream_object` is what events call themselves, where we can write the last one of a
    stream that ends early; only such streams are held for in steps.
    """

    name: str
    dialect: Dialect
    method: str
    upstream_path: str
    kind: Literal["forward", "models"] = "forward"
    form: Form = _NOTHING_READ
    has_output: bool = True
    default_max_output: int | None = None
    terminators: tuple[bytes, ...] = (b"data: [DONE]", b"data:[DONE]")
    text_members: tuple[bytes, ...] = ()
    stream_object: str | None = None


_MODELS = Route("models", "openai", "GET", "/models", kind="models")
_ROUTES = {
    "/v1/chat/completions": Route(
        "chat_completions",
        "openai",
        "POST",
        "/chat/completions",
        form=Form(("max_completion_tokens", "max_tokens"), usage_option=True, entries="messages"),
        text_members=(b'content":', b'arguments":', b'reasoning":'),
        stream_object="chat.completion.chunk",
    ),
    # Callers who name no maximum get 16 tokens: https://platform.openai.com/docs/api-reference/completions/create
    "/v1/completions": Route(
        "completions",
        "openai",
        "POST",
        "/completions",
        form=Form(("max_tokens",), usage_option=True, plain=("prompt",)),
        default_max_output=16,
        text_members=(b'text":',),
        stream_object="text_completion",
    ),
    "/v1/embeddings": Route(
        "embeddings",
        "openai",
        "POST",
        "/embeddings",
        form=Form(plain=("input",)),
        has_output=False,
    ),
    "/v1/responses": Route(
        "responses",
        "openai",
        "POST",
        "/responses",
        form=Form(("max_output_tokens",), entries="input", plain=("prompt",)),  # stored: an object
        terminators=(
            b"event: response.completed",
            b"event: response.incomplete",
            b"event: response.failed",
        ),
        text_members=(b'delta":',),
    ),
    "/v1/models": _MODELS,
}
_MODEL_PREFIX = "/v1/models/"


def dialect_of(path: str) -> Dialect:
    """The dialect in which a path's caller expects even a refusal."""
    if path.startswith("/v1/messages"):
        return "anthropic"
    if path.startswith("/v1beta/"):
        return "gemini"
    return "openai"


def find_route(method: str, path: str, base_url: Callable[[], str]) -> Route | Refusal:
    """The route of a call, or the refusal that tells the right URL or method."""
    route = _ROUTES.get(path)
    if route is None and path.startswith(_MODEL_PREFIX) and len(path) > len(_MODEL_PREFIX):
        route = _MODELS
    if route is None:
        return _unknown(method, path, base_url())
    if method != route.method:
        return Refusal(
            Reason.METHOD_NOT_ALLOWED,
            f"{path} takes {route.method}, not {method}.",
            details={"allow": route.method},
        )
    return route


def _unknown(method: str, path: str, base_url: str) -> Refusal:
    hint = f"The base URL is {base_url}{BASE_PATH}"
    if path == "/":
        message = f"This is a Tollhouse gateway; it has no page here. {hint}"
    elif BASE_PATH + path in _ROUTES:
        message = f"Unknown URL ({method} {path}). {hint} — the path lacks {BASE_PATH}."
    elif path.rstrip("/") in _ROUTES:
        message = (
            f"Unknown URL ({method} {path}). {hint}; write the path without the slash at its end."
        )
    else:
        message = f"Unknown URL ({method} {path}). {hint}"
    return Refusal(Reason.UNKNOWN_URL, message)
