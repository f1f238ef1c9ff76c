"""What `tollhouse run` prints when everything answers: where things are, and commands that work. Pure."""

import json
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config import Loaded

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def banner(
    *,
    version: str,
    gateway_url: str,
    admin_url: str,
    workers: int,
    loaded: Loaded,
    demo: bool,
    key: object,
    password: str | None,
    state: Path,
    color: bool,
    login: str,
) -> str:
    """The text. `key` and `password` are None where they are not known (any more). `login`: of whom at this machine."""
    base_url = f"{gateway_url}/v1"
    lines = [
        "",
        _bold(f"Tollhouse {version} is ready.", color=color),
        "",
        f"  Base URL    {base_url}   ({workers} worker{'s' * (workers > 1)})",
        f"  Admin API   {admin_url}",
        f"  Console     {admin_url}/",
        f"              from another machine: {_tunnel(admin_url, login)}   and then the same address there",
        f"  Key         {_key_line(key)}",
    ]
    if password is not None:
        lines.append(
            f"  Sign-in     admin / {password}   (one-time; `tollhouse user password admin` makes a new one)"
        )
    lines.append(f"  State       {state}")
    lines += [f"  Notice      {notice}" for notice in loaded.notices]
    if demo:
        lines.append(
            "  Upstream    the demo: no provider is configured. Set OPENAI_API_KEY, or [[upstreams]] in config.toml."
        )
    if key is not None:
        lines += ["", "Try it:", "", *_examples(base_url, str(key), _model(loaded, demo=demo))]
    lines += ["", "Ctrl-C stops everything in order.", ""]
    return "\n".join(lines)


def _tunnel(admin_url: str, login: str) -> str:
    """What makes the console another machine's own: browsers keep its session only so, or over https."""
    parts = urlsplit(admin_url)
    return f"ssh -L {parts.port}:{parts.netloc} {login}"


def _key_line(key: object) -> str:
    if key is None:
        return "made earlier and shown once; POST /api/token/ makes another"
    return f"{key}   (made with $1 on it)"


def _examples(base_url: str, key: str, model: str) -> list[str]:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    script = (
        f"import json,urllib.request as u; "
        f'r=u.Request("{base_url}/chat/completions",{json.dumps(body)}.encode(),'
        f'{{"Authorization":"Bearer {key}","Content-Type":"application/json"}}); '
        f'print(json.load(u.urlopen(r))["choices"][0]["message"]["content"])'
    )
    curl = (
        f"curl {base_url}/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
    return [curl, "", f"python3 -c {shlex.quote(script)}"]


def _model(loaded: Loaded, *, demo: bool) -> str:
    if demo:
        return "demo"
    named = [model.name for model in loaded.config.models]
    named += [n for u in loaded.config.upstreams for n in u.models if not n.endswith("*")]
    return named[0] if named else "gpt-5.4-mini"


def _bold(text: str, *, color: bool) -> str:
    return f"{_BOLD}{text}{_PLAIN}" if color else text
