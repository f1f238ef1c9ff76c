"""When a measure has been too high for too long, and when that is over. Pure."""


class Excess:
    """Begins when every measure was above `most` for `for_s`, and ends when every one was below `calm` for as long.

    Two bounds and a time, so that what is done about it does not itself switch it off and on: one late look is no
    overload, and what has just been relieved is not loaded again at once.
    """

    __slots__ = ("_calm", "_for_s", "_most", "_since", "stands")

    def __init__(self, *, most: float, calm: float, for_s: float) -> None:
        self._most = most
        self._calm = calm
        self._for_s = for_s
        self._since: float | None = None  # of measures that would end what stands, or begin it
        self.stands = False

    def look(self, measure: float, now: float) -> bool:
        """Take a measure; whether the excess stands now."""
        if not (measure < self._calm if self.stands else measure > self._most):
            self._since = None
            return self.stands
        if self._since is None:
            self._since = now
        if now - self._since >= self._for_s:
            self.stands = not self.stands
            self._since = None
        return self.stands
