"""A real OpenID provider as a process of its own: `python -m tests.oidc_server` prints its port.

It insists on PKCE (RFC 7636), which the package leaves out. Of a subject that begins with `quiet` its ID tokens tell no
more than who it is, as many providers' do: the rest is told at its userinfo endpoint.
"""

import base64
import contextlib
import hashlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def provider_running() -> Iterator[str]:
    """The issuer's URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.oidc_server"],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def main() -> None:
    warnings.simplefilter("ignore")
    import flask  # noqa: PLC0415 -- here alone, where no warning is an error
    import werkzeug.serving  # noqa: PLC0415
    from oidc_provider_mock import app  # noqa: PLC0415
    from oidc_provider_mock._app import OpenIDCode  # noqa: PLC0415

    tells_all = OpenIDCode.generate_user_info

    def tell(grant: OpenIDCode, user, scope):
        is_quiet = user.sub.startswith("quiet")
        return {"sub": user.sub} if is_quiet else tells_all(grant, user, scope)

    OpenIDCode.generate_user_info = tell
    provider = app(require_nonce=True)
    challenges: dict[str, str] = {}

    @provider.before_request
    def require_proof() -> flask.Response | None:
        request = flask.request
        if request.path == "/oauth2/authorize" and request.method == "POST":
            assert request.args["code_challenge_method"] == "S256"
            flask.g.challenge = request.args["code_challenge"]
        if request.path == "/oauth2/token":
            proof = hashlib.sha256(request.form["code_verifier"].encode()).digest()
            shown = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
            if challenges.pop(request.form["code"], None) != shown:
                return flask.make_response({"error": "invalid_grant"}, 400)
        return None

    @provider.after_request
    def remember(response: flask.Response) -> flask.Response:
        if "challenge" in flask.g and "code=" in response.headers.get("Location", ""):
            code = response.headers["Location"].partition("code=")[2].partition("&")[0]
            challenges[code] = flask.g.challenge
        return response

    server = werkzeug.serving.make_server("127.0.0.1", 0, provider, threaded=True)
    print(server.server_port, flush=True)
    sys.stdout.close()
    server.serve_forever()


if __name__ == "__main__":
    main()
