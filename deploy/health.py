"""The image's health check: whether a process of Tollhouse answers on either of its ports."""

import http.client
import os
import sys

_SETTINGS = ("TOLLHOUSE_GATEWAY__LISTEN", "TOLLHOUSE_ADMIN__LISTEN")


def answers(port: int) -> bool:
    """Whether /healthz says 200 there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    ports = [int(os.environ[name].rpartition(":")[2]) for name in _SETTINGS if name in os.environ]
    sys.exit(0 if any(map(answers, ports)) else 1)
