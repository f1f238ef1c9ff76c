"""What schemathesis is told of the admin API (it loads this file by itself: tests/openapi_run.py)."""

import re

import schemathesis
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, coverage_scenario

ACCEPTED = {200, 202}
OF_THE_CASE = {
    401,  # a log-in with a name and password that nobody has
    403,  # a group, or another user's list, that is not for the caller
    404,  # an id that was drawn
    409,  # as many tokens as there may be
    412,  # a version that was drawn
    429,  # too many wrong passwords
}
RULES = re.compile(
    r"(?:\w+: .* disagrees? |\w+: .*; set one of them right"  # two fields that say different things
    r"|unlimited_quota: |\w+: 0 means unlimited, but"
    r"|expired_time: (?:counts seconds|\d+ is in the past)"  # what time it is
    r"|(?:allow_ips|deny_ips): (?:line|entry) \d+"  # what is an address
    r"|model_limits(?:_enabled)?: "  # a list within a text
    r"|limits(?:\.\d+)?(?:\.\w+)?: |limits: "  # what a limit's members mean together
    r"|remain_quota: (?:may not be negative|the grant may be|is required to make)"
    r"|p: pages reach|time_zone: .* is no time zone|start: must be before|interval: \w+ makes"
    r"|Idempotency-Key: it was sent|cursor: is not the next_cursor|request_id: |add_quota\w*: "
    r"|quota_usd: |metadata: may be \d+ bytes"
    r"|'\w+': (?:text may hold neither|is nested deeper)"  # what Postgres cannot store
    r"|\w+: may hold no control"  # what Unicode calls a control character
    r"|name: (?:must have|may hold)"
    r"|key: cannot be set|id: is -?\d+, but the path says|status: is required with status_only"
    r"|group: there is no group|reserve: \"estimate\" is for administrators"
    r"|ip: must be an IPv4|\w+: is said by body already"  # what the document cannot say of a call
    r"|token: must be what lists show|tag: must be a key|by: must be one of"  # texts of a form
    r"|(?:original_)?password: "
    # Of the catalog: what is there, what belongs together, where an address leads.
    r"|name: is '|base_url: |api_keys?: |headers: |allow_cidrs: |members: |tiers(?:\.\d+)?: "
    r"|groups: |upstreams: |model: |group: |token_defaults\.[\w.]+: )"
)
"""How a 422 begins that tells a rule which no schema can state: across fields, or about the world."""


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
    """In the place of `positive_data_acceptance`: a 422 has to tell one of the rules above."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if response.status_code in ACCEPTED | OF_THE_CASE:
        return
    if coverage_scenario(case) in REQUEST_SHAPE_PROBES:
        return  # a method or a type of body that there is not
    message = response.json()["message"]
    assert response.status_code == 422, (response.status_code, message)
    assert RULES.match(message), message
