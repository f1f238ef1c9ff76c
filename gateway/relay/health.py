"""What a worker answers to those who look whether it lives and whether it should get calls."""

from gateway import __version__
from gateway.store.quota import QuotaStore

Page = tuple[int, dict[str, object]]
"""A status, and the members of a JSON object."""


class Health:
    """`is_accepting` is the worker's to take back, when it drains."""

    def __init__(self, quota: QuotaStore) -> None:
        self._quota = quota
        self.is_accepting = True

    def alive(self) -> Page:
        """The process is alive."""
        return 200, {"status": "ok", "version": __version__}

    def ready(self) -> Page:
        """Whether a load balancer should send calls here."""
        if not self.is_accepting:
            return 503, {"status": "draining"}
        if not self._quota.connected:
            breaker = self._quota.breaker
            return 503, {
                "status": "quota store unavailable",
                "breaker": breaker.state,
                "for_s": round(breaker.for_s, 3),
                "openings": breaker.openings,
            }
        return 200, {"status": "ready"}
