"""What schemathesis is told of the admin API (it loads this file by itself: tests/openapi_run.py)."""

import schemathesis
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, coverage_scenario

from gateway.domain.rules import Rule

ACCEPTED = {200, 202}
OF_THE_CASE = {
    401,  # a log-in with a name and password that nobody has
    403,  # a group, or another user's list, that is not for the caller
    404,  # an id that was drawn
    409,  # as many tokens as there may be; a name or a reference that is taken; the last owner
    410,  # a link or an invite that was drawn
    412,  # a version that was drawn
    429,  # too many wrong passwords
}
STATED = {
    *(Rule.REQUIRED, Rule.UNKNOWN_FIELD, Rule.WRONG_TYPE, Rule.ENTRY_NOT_TEXT, Rule.UNREADABLE),
    *(Rule.TOO_SMALL, Rule.TOO_LARGE, Rule.NOT_ABOVE, Rule.NOT_BELOW, Rule.NOT_ONE_OF),
    *(Rule.TOO_SHORT, Rule.TOO_LONG, Rule.TOO_FEW, Rule.UNKNOWN_PARAMETER, Rule.GIVEN_TWICE),
    *(Rule.NO_WHOLE_NUMBER, Rule.NO_UNIX_SECONDS, Rule.NO_TOKEN_STATUS, Rule.NO_STATUS),
    *(
        Rule.NO_ACCOUNT_STATUS,
        Rule.NO_LOG_TYPE,
        Rule.NO_VERSION,
        Rule.NO_IDEMPOTENCY_KEY,
        Rule.NO_PATH,
    ),
}
"""Rules that the document states. The others are across fields, or about the world."""


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Send no New-Api-User: any but the caller's own is a 401, and nothing else would be tested.

    tests/integration/test_admin_auth.py sends right ones and wrong ones.
    """
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            operation["parameters"] = [
                each for each in operation["parameters"] if each["name"] != "New-Api-User"
            ]


@schemathesis.check
def what_the_document_allows_is_taken(context, response, case):
    """In the place of `positive_data_acceptance`: a 422 has to tell of other rules than the document's."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in ACCEPTED | OF_THE_CASE:
        return
    if coverage_scenario(case) in REQUEST_SHAPE_PROBES:
        return  # a method or a type of body that there is not
    body = response.json()
    assert response.status_code == 422, (response.status_code, body)
    assert not {each["code"] for each in body["errors"]} & STATED, body["message"]
