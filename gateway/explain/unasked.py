"""Why a check could not be asked: sentences as in `gateway/domain/cases.py`."""

from gateway.domain.rules import Param, Told


class Unasked(Told):
    """What a check would have needed. The value is the `case` that owners see."""

    KEY = "no_key_is_looked_at", "The token is named by its id; no key is looked at."
    ADDRESS = (
        "address_not_said",
        "The token is limited to some addresses: say from which ip it calls.",
    )
    BODY = "no_body", "No body is given; input_tokens stands for it."
    SAID = (
        "no_body_to_translate",
        "The call would be translated for another dialect: give its body to see what that would refuse.",
    )
    ASK = "ask_unread", "What the call asks for could not be read."
    ROOM = "room_unknown", "It depends on what the worker that takes the call has yet to write."
    HOLD = "hold_unknown", "What the call would be held for is not known."
    STORE = (
        "quota_store_bounded",
        (
            "The quota store cannot be asked; until it can, each worker lets this key spend at most {most_nusd} "
            "nano-dollars (quota.allow_bounded_nusd)."
        ),
    )


class NotAsked(Exception):
    """A check cannot be asked; `params` is what the sentence is filled with."""

    def __init__(self, case: Unasked, **params: Param) -> None:
        self.case = case
        self.params = params
        super().__init__(case.template.format_map(params))
