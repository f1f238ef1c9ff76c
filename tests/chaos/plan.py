"""What a run consists of: models and prices, accounts and tokens, and what each call asks for. Pure.

A call carries its marker in the body's `user`: number, token, behaviour, tokens of output and pace. So the upstream
knows what to do from the body alone, and truth log and client log are joined by the number. Its X-Forwarded-For holds
the number, too, so that it stands in the ledger's row as the address.
"""

import random
from dataclasses import dataclass
from typing import NamedTuple

TOKENS_PER_PRICE = 1_000_000
MEAN_COST_NUSD = 230_000
"""About what a call of this plan costs; grants are made from it."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model with its price in nano-dollars for a million tokens, and for each request."""

    name: str
    input_nusd: int
    output_nusd: int
    request_nusd: int
    default_output_tokens: int
    upstreams: tuple[str, ...]
    max_output_tokens: int = 1000

    def cost_nusd(self, input_tokens: int, output_tokens: int) -> int:
        """What a call costs, rounded up once."""
        exact = (
            input_tokens * self.input_nusd
            + output_tokens * self.output_nusd
            + self.request_nusd * TOKENS_PER_PRICE
        )
        return -(-exact // TOKENS_PER_PRICE)

    def bound_nusd(self, body_bytes: int, max_output_tokens: int) -> int:
        """The most that a call may be charged; `max_output_tokens` 0 is a call that names none."""
        output = min(max_output_tokens or self.default_output_tokens, self.max_output_tokens)
        return self.cost_nusd(body_bytes, output)


MODELS = {
    model.name: model
    for model in (
        Model("small", 1_000_000_000, 10_000_000_000, 0, 100, ("first", "second")),
        Model("large", 3_330_000_000, 17_770_000_000, 100_000, 64, ("first", "second")),
        Model("drained", 250_000_000, 2_000_000_000, 0, 100, ("drained",)),
    )
}

# What the upstream does; the weights are those of a hundred calls.
BEHAVIOURS = {
    "fine": 76.0,
    "slow": 4.0,  # the first byte comes late
    "paced": 6.0,  # pieces come one after the other
    "no_usage": 1.0,
    "negative": 0.6,
    "huge": 0.6,
    "float": 0.6,
    "string": 0.6,
    "null": 0.6,
    "twice": 1.0,  # two usages; the last one counts
    "after_done": 1.0,  # usage behind the terminator
    "reset_unanswered": 0.8,  # the connection closes without a byte
    "reset_midway": 1.2,
    "stall": 0.2,
    "declined_429": 1.0,  # once; the next try is answered
    "declined_500": 1.0,
    "declined_503": 1.0,
    "always_503": 0.6,
    "beyond_maximum": 1.2,  # more output than was asked for
}
UNBELIEVABLE = frozenset({"no_usage", "negative", "huge", "float", "string", "null"})


class Call(NamedTuple):
    """A call as it is sent. `max_output_tokens` 0: none is named. `leave`: "", "waiting" or "reading"."""

    number: int
    token: int
    model: str
    behaviour: str
    stream: bool
    output_tokens: int
    pace_ms: int
    max_output_tokens: int
    leave: str
    body: bytes


@dataclass(frozen=True, slots=True)
class TokenPlan:
    """A token to be made. Grants are nano-dollars, None is uncapped."""

    number: int
    account: int
    user: int
    granted: int | None = None
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    max_concurrency: int = 0
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """An account to be made, with the grants of its members; users are numbered from 0."""

    granted: int | None = None
    members: tuple[int | None, ...] = (None,)


@dataclass(frozen=True, slots=True)
class Plan:
    """All accounts and tokens of a run. The last token is the nemesis' own, for probes."""

    accounts: tuple[AccountPlan, ...]
    tokens: tuple[TokenPlan, ...]

    @property
    def probe(self) -> int:
        """The number of the token for probes."""
        return len(self.tokens) - 1

    def capped(self, token: TokenPlan) -> bool:
        """Whether a scope of the token has a grant, a window or a concurrency limit."""
        account = self.accounts[token.account]
        grants = (token.granted, account.granted, account.members[token.user])
        limits = token.requests_per_minute or token.tokens_per_minute or token.max_concurrency
        return any(granted is not None for granted in grants) or bool(limits)


def make_plan(calls: int) -> Plan:
    """Twelve accounts and forty tokens, whose smaller grants run out within `calls` calls."""
    share = max(calls // 40, 10) * MEAN_COST_NUSD
    ample = 1000 * share + 10**12
    accounts = [AccountPlan() for _ in range(12)]
    accounts[4] = AccountPlan(granted=int(share * 0.9))
    accounts[5] = AccountPlan(granted=int(share * 1.8))
    accounts[6] = AccountPlan(members=(int(share * 0.5), int(share * 1.2)))
    tokens: list[TokenPlan] = []

    def add(account: int, user: int = 0, **fields: float | None) -> None:
        tokens.append(TokenPlan(len(tokens), account, user, **fields))

    for account in range(4):
        for part in (0.12, 0.35, 0.7):
            add(account, granted=int(share * part * (1 + account / 10)))
        add(account, granted=ample)
    for account in (4, 5):
        for _ in range(3):
            add(account)
    for user in (0, 1):
        for _ in range(2):
            add(6, user)
    for limit in (30, 120, 600):
        add(7, requests_per_minute=limit)
    for limit in (6_000, 20_000, 80_000):
        add(8, tokens_per_minute=limit)
    for limit in (1, 2, 4):
        add(9, max_concurrency=limit)
    for _ in range(3):
        add(10)
    for _ in range(2):
        add(11, granted=ample, weight=3.0)
    add(11, granted=ample, weight=0.0)
    return Plan(tuple(accounts), tuple(tokens))


class Draw:
    """Draws calls, the same ones for the same seed and numbers."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._random = random.Random(seed)
        self._tokens = [token.number for token in plan.tokens]
        self._token_weights = _cumulated(token.weight for token in plan.tokens)
        self._behaviours = list(BEHAVIOURS)
        self._behaviour_weights = _cumulated(BEHAVIOURS.values())

    def call(self, number: int) -> Call:
        """The next call."""
        chance = self._random
        (token,) = chance.choices(self._tokens, cum_weights=self._token_weights)
        (behaviour,) = chance.choices(self._behaviours, cum_weights=self._behaviour_weights)
        one = chance.random()
        model = "small" if one < 0.6 else "large" if one < 0.85 else "drained"
        stream = chance.random() < 0.45 or behaviour in {"after_done", "stall"}
        output = 1 + int(chance.expovariate(1 / 12))
        if chance.random() < 0.02:
            output += 150
        pace_ms = int(chance.uniform(20, 400)) if behaviour in {"slow", "paced"} else 0
        if behaviour == "paced" and chance.random() < 0.1:
            pace_ms = 800
        maximum = chance.choice((0, 0, 16, 64, 200))
        leave = ""
        if chance.random() < 0.04:
            leave = "reading" if stream and chance.random() < 0.6 else "waiting"
        return make_call(
            number, token, model, behaviour, output, pace_ms, maximum, leave, stream=stream,
            told=chance.random() < 0.5, filler=chance.choice((20, 40, 120, 500)),
        )  # fmt: skip


def make_call(
    number: int,
    token: int,
    model: str = "small",
    behaviour: str = "fine",
    output_tokens: int = 5,
    pace_ms: int = 0,
    max_output_tokens: int = 0,
    leave: str = "",
    *,
    stream: bool = False,
    told: bool = False,
    filler: int = 20,
) -> Call:
    """A call with its body. `told`: a stream's caller asks for the usage."""
    body = (
        b'{"model":"%b","messages":[{"role":"user","content":"%b"}],"user":"%d/%d/%b/%d/%d"%b%b}'
        % (
            model.encode(),
            b"x" * filler,
            number,
            token,
            behaviour.encode(),
            output_tokens,
            pace_ms,
            b',"max_tokens":%d' % max_output_tokens if max_output_tokens else b"",
            b',"stream":true' + (b',"stream_options":{"include_usage":true}' if told else b"")
            if stream
            else b"",
        )
    )
    return Call(
        number, token, model, behaviour, stream, output_tokens, pace_ms, max_output_tokens, leave,
        body,
    )  # fmt: skip


def input_tokens(number: int) -> int:
    """What the upstream counts as a call's input: below the bytes of any body."""
    return 10 + number % 79


def address_of(number: int) -> str:
    """The address that a call claims to come from."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def number_of(address: str) -> int | None:
    """The call behind an address of a ledger row; None where it is none of ours."""
    parts = address.split(".")
    if len(parts) != 4 or parts[0] != "10":
        return None
    return int(parts[1]) << 16 | int(parts[2]) << 8 | int(parts[3])


def _cumulated(weights) -> list[float]:
    sums, total = [], 0.0
    for weight in weights:
        total += weight
        sums.append(total)
    return sums
