"""Azure OpenAI's paths: each model is a deployment of its own, and each call names a version of the API. Pure.

https://learn.microsoft.com/azure/ai-foundry/openai/reference. Its newer API (a base URL that ends in `/openai/v1`) is
OpenAI's own, keys included, and needs nothing of this.
"""

from typing import Final
from urllib.parse import quote

_OF_DEPLOYMENTS: Final = (
    "/chat/",
    "/completions",
    "/embeddings",
    "/audio/",
    "/images/",
)


def azure_path(path: str, deployment: str, api_version: str) -> str:
    """The path below `https://….openai.azure.com` of a call that OpenAI has at `path`; a query may follow it."""
    path, _, query = path.partition("?")
    place = ""
    if path.startswith(_OF_DEPLOYMENTS) and deployment:
        place = f"/deployments/{quote(deployment, safe='')}"
    more = f"&{query}" if query else ""
    return f"/openai{place}{path}?api-version={quote(api_version, safe='')}{more}"
