"""Whose the rule behind a refusal is, and what can be done about it. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.domain.edit import TokenRow
from gateway.domain.errors import Ground, Refusal

_PATCH = "PATCH /api/token/{id} "

_REMEDIES: Final[Mapping[Ground, str]] = {
    Ground.CALL: "Change the call as the message says.",
    Ground.STATUS: f'Enable the token: {_PATCH}{{{{"status": 1}}}}.',
    Ground.EXPIRY: f'Move the expiry: {_PATCH}{{{{"expired_time": …}}}}; -1 is never.',
    Ground.ROTATION: "Use the token's newest secret.",
    Ground.ACCOUNT: "An administrator can enable the account.",
    Ground.USER: "An administrator can enable the user.",
    Ground.MEMBER: "An owner or admin of the account can make the user a member again.",
    Ground.SUBSCRIPTION: "An administrator can prolong the account's subscription to the group {group!r}; else give "
    f'the token another group: {_PATCH}{{{{"group": …}}}}.',
    Ground.DENY: f'Take the address out of the list: {_PATCH}{{{{"deny_ips": …}}}}.',
    Ground.ALLOW: f'Add the address to the list: {_PATCH}{{{{"allow_ips": …}}}}.',
    Ground.BODY_SIZE: "Send less, or have the operator raise the bound in [gateway].",
    Ground.OWN_MODELS: f'Add the model to the list: {_PATCH}{{{{"model_limits": …}}}}.',
    Ground.GROUP_MODELS: "Use a token of a group that has the model, or have the operator add it in "
    "[groups.{group}] models.",
    Ground.GROUP_UPSTREAMS: "Look at the spelling; else the operator can add the model in [[upstreams]] models, or "
    "the upstream in [groups.{group}] upstreams.",
    Ground.OWNER: "Name what a token of the same account has made.",
    Ground.ROUTES: "The operator can set a price for each call in [[routes]]; else use an uncapped token.",
    Ground.PRICE: "The operator can set a price in [[models]]; else use an uncapped token.",
    Ground.INPUT_BOUND: "The operator can set max_input_tokens in [[models]]; else leave the member out, or use an "
    "uncapped token.",
    Ground.UNBOUNDED: "Leave the member out, or use an uncapped token.",
    Ground.QUOTA: "Have the quota of the {scope} raised, or ask for less output.",
    Ground.CONCURRENCY: "Wait until a call has ended, or have max_concurrency of the {scope} raised.",
    Ground.LIMITS: "Wait until the window has room, or have the limit of the {scope} raised.",
    Ground.STORE: "Wait until the quota store answers; GET /readyz of the gateway tells.",
}
_INHERITED = (
    " The token leaves it to the group {group!r}, whose {name} the operator can change, too."
)
_DEFAULTS: Final[Mapping[str, str]] = {"model_limits": "models"}
"""What [groups.NAME.token_defaults] calls otherwise than the token API."""


class Rule(NamedTuple):
    """A rule by its name, and whose it is. `inherited`: the token has none of its own and the group's applies."""

    of: str
    name: str
    inherited: bool = False


def rule_of(refusal: Refusal, row: TokenRow) -> Rule:
    """The rule that a refusal of the token's call rests on."""
    owner, _, name = refusal.ground.partition(".")
    if owner == "scope":
        owner = refusal.scope or "token"
    if owner == "token" and inherits(row, name):
        return Rule("group", f"token_defaults.{_DEFAULTS.get(name, name)}", inherited=True)
    if owner == "subscription" and name in {"limits", "max_concurrency"}:
        owner = "group"  # what binds an account's tokens of a group together is mostly the group's to say
    return Rule(owner, name)


def remedy_of(refusal: Refusal, row: TokenRow) -> str:
    """What its owner, or whoever else can, may do about it."""
    rule = rule_of(refusal, row)
    text = _REMEDIES[refusal.ground]
    if rule.inherited:
        text += _INHERITED
    group = row.effective_group
    return text.format(id=row.id, group=group, scope=refusal.scope, name=rule.name)


def inherits(row: TokenRow, name: str) -> bool:
    """Whether a rule of the token, by its name in the token API, is left to its group."""
    match name:
        case "model_limits":
            return row.models is None and not row.models_enabled
        case "allow_ips":
            return row.allow_ips is None
        case "deny_ips":
            return row.deny_ips is None
        case "limits":
            return row.limits is None
        case "max_concurrency":
            return row.max_concurrency is None
        case _:
            return False
