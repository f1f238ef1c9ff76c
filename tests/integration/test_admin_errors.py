"""What a request does wrong is told whole: each mistake with its field, a word, and what a sentence needs."""

import json

from gateway.domain.rules import Rule

SECRET = "sk-" + "Ab12" * 12 + "x"
ACCESS = "tht_" + "Cd34" * 12 + "x"
PASSWORD = "correct horse battery staple"


def told(answer):
    return [(each["field"], each["code"]) for each in answer.body["errors"]]


WRONG_IN_FORM = {
    "zebra": 1,
    "name": 5,
    "aardvark": 1,
    "metadata": [],
    "count": 0,
    "limits": [
        {"metric": "requests", "window": "1m", "limit": 1},
        {"metric": "hats", "window": "1m", "limit": 1, "hat": 1},
        {"metric": "requests", "window": "month", "limit": 1},
        5,
    ],
    "allow_ips": ["10.0.0.1", 5],
    "quota_usd": -1.5,
    "group": "g" * 101,
}
WRONG_IN_MEANING = {
    "name": "a\nb",
    "metadata": {"a": "x" * 20_000},
    "limits": [
        {"metric": "usd", "window": "1d", "limit": 1},
        {"metric": "usd", "window": "1d", "limit": 2},
        {"metric": "usd", "window": "7d", "limit": 4_503_600},
    ],
    "deny_ips": "10.0.0.1\n10.0.0.5/8\nhere",
    "model_limits": ["m", "x" * 201],
    "expired_time": 1_700_000_000,
    "remain_quota": -5,
}


async def test_every_problem_of_a_body_is_reported_at_once_in_the_order_of_its_fields(admin):
    answer = await admin.call("POST", "/api/token/", WRONG_IN_FORM)
    assert answer.status == 422
    assert told(answer) == [
        ("quota_usd", "too_small"),
        ("allow_ips", "entry_not_text"),
        ("group", "too_long"),
        ("limits.1.metric", "not_one_of"),
        ("limits.1.hat", "unknown_field"),
        ("limits.2", "calendar_only"),
        ("limits.3", "wrong_type"),
        ("metadata", "wrong_type"),
        ("name", "wrong_type"),
        ("count", "too_small"),
        ("aardvark", "unknown_field"),
        ("zebra", "unknown_field"),
    ]
    answer = await admin.call("POST", "/api/token/", WRONG_IN_MEANING)
    assert answer.status == 422
    assert told(answer) == [
        ("remain_quota", "negative"),
        ("expired_time", "in_the_past"),
        ("model_limits", "no_model_name"),
        ("deny_ips", "host_bits"),
        ("deny_ips", "no_block"),
        ("limits.1", "not_unique"),
        ("limits.2", "limit_too_large"),
        ("metadata", "too_many_bytes"),
        ("name", "control_characters"),
    ]
    assert await admin.pool.fetchval("SELECT count(*) FROM token") == 1


async def test_the_order_is_the_same_in_whatever_order_the_fields_are_sent(admin):
    for body in (WRONG_IN_FORM, WRONG_IN_MEANING):
        answer = await admin.call("POST", "/api/token/", body)
        turned = await admin.call("POST", "/api/token/", dict(reversed(body.items())))
        assert turned.body == answer.body


async def test_a_change_is_told_all_that_is_wrong_with_it_too(admin):
    made = await admin.create()
    body = WRONG_IN_MEANING | {"key": "mine", "add_quota": 1, "add_quota_usd": 1}
    del body["remain_quota"]
    answer = await admin.call("PATCH", f"/api/token/{made['id']}", body)
    assert [field for field, _ in told(answer)] == [
        *("expired_time", "model_limits", "deny_ips", "deny_ips", "limits.1", "limits.2"),
        *("metadata", "name", "add_quota", "key"),
    ]
    assert (await admin.get(made["id"]))["version"] == made["version"]


async def test_params_are_what_the_sentence_is_filled_with(admin):
    answer = await admin.call("POST", "/api/token/", WRONG_IN_MEANING)
    params = {(each["field"], each["code"]): each["params"] for each in answer.body["errors"]}
    assert params["deny_ips", "host_bits"] == {
        "line": 2,
        "given": "10.0.0.5/8",
        "block": "10.0.0.0/8",
    }
    assert params["expired_time", "in_the_past"] == {"given": 1_700_000_000}
    assert params["limits.1", "not_unique"] == {"other": "limits.0"}
    answer = await admin.call("POST", "/api/token/", WRONG_IN_FORM)
    params = {(each["field"], each["code"]): each["params"] for each in answer.body["errors"]}
    assert params["quota_usd", "too_small"] == {"least": 0, "given": "-1.5"}
    assert params["limits.1.metric", "not_one_of"] == {
        "choices": ["requests", "tokens", "usd"],
        "given": "hats",
    }
    assert "window" in params["limits.1.hat", "unknown_field"]["known"]
    assert "remain_quota" in params["zebra", "unknown_field"]["known"]
    assert params["metadata", "wrong_type"] == {"expected": ["object"], "given": "array"}


async def test_a_translation_needs_the_code_and_the_params_alone(admin):
    french = {"negative": "{given} est sous zéro"}
    answer = await admin.call("POST", "/api/token/", {"name": "a", "remain_quota": -5})
    (error,) = answer.body["errors"]
    said = french[error["code"]].format(**error["params"])
    assert f"{error['field']}: {said}" == "remain_quota: -5 est sous zéro"


async def test_what_is_wrong_with_the_stored_is_told_in_the_same_form(admin):
    made = await admin.create()
    path = f"/api/token/{made['id']}"
    answer = await admin.call("PATCH", path, {"name": "b", "version": 99})
    assert answer.status == 412
    assert answer.body["errors"][0]["params"] == {"version": 1, "given": 99}
    answer = await admin.call("GET", "/api/token/999")
    assert (answer.status, told(answer)) == (404, [("id", "no_token")])
    answer = await admin.call("PATCH", path, {"group": "nowhere"})
    assert (answer.status, told(answer)) == (422, [("group", "no_group")])


PARAMETERS = {
    "/api/token/?p=x&size=y&keyword=%00&status=9&sort=hat&order=up&user_id=z": [
        *(("keyword", "control_characters"), ("order", "not_one_of"), ("p", "no_whole_number")),
        *(("size", "no_whole_number"), ("sort", "not_one_of"), ("status", "no_token_status")),
        ("user_id", "no_whole_number"),
    ],
    "/api/log/?token_id=x&status=hat&start=1800000000000&tag=x&hat=1&end=1&end=2&cursor=x": [
        *(("cursor", "no_cursor"), ("end", "given_twice"), ("hat", "unknown_parameter")),
        *(("start", "milliseconds"), ("status", "no_status"), ("tag", "no_tag")),
        ("token_id", "no_whole_number"),
    ],
    "/api/usage?interval=year&time_zone=Mars&by=hat&start=-1": [
        *(("by", "no_series_key"), ("interval", "not_one_of"), ("start", "no_unix_seconds")),
        ("time_zone", "no_time_zone"),
    ],
}


async def test_all_bad_parameters_are_told_at_once(admin, subtests):
    for path, errors in PARAMETERS.items():
        with subtests.test(path=path):
            answer = await admin.call("GET", path)
            assert (answer.status, told(answer)) == (422, errors)


async def test_a_bad_header_is_told_like_a_field(admin):
    made = await admin.create()
    headers = {"If-Match": '"one"', "Idempotency-Key": "é"}
    answer = await admin.call("DELETE", f"/api/token/{made['id']}", headers=headers)
    assert told(answer) == [("If-Match", "no_version")]
    answer = await admin.call("POST", "/api/token/", {"name": "a"}, headers=headers)
    assert told(answer) == [("Idempotency-Key", "no_idempotency_key")]


async def test_of_very_many_mistakes_the_first_are_told(admin):
    answer = await admin.call("POST", "/api/token/", {f"field{n:05}": n for n in range(20_000)})
    assert answer.status == 422
    assert len(answer.body["errors"]) == 20
    assert told(answer)[:2] == [("name", "required"), ("field00000", "unknown_field")]
    assert len(json.dumps(answer.body)) < 50_000
    lines = {"name": "a", "allow_ips": "x\n" * 200_000}
    answer = await admin.call("POST", "/api/token/", lines)
    assert told(answer) == [("allow_ips", "no_block")] * 20


BODIES = [
    ("POST", "/api/token/", "name group model_limits allow_ips deny_ips reserve metadata limits"),
    ("PATCH", "/api/token/1", "name key group model_limits allow_ips id version status"),
    ("POST", "/api/token/find", "key"),
    ("POST", "/api/token/batch", "ids"),
    ("POST", "/api/token/1/rotate", "overlap_seconds"),
    ("POST", "/api/token/1/explain", "ip path method model body stream"),
    ("POST", "/api/user/login", "username password"),
    ("PUT", "/api/user/self", "display_name original_password password"),
]


async def test_no_secret_is_repeated_in_an_error(admin):
    for method, path, names in BODIES:
        for secret in (SECRET, ACCESS):
            sent = [{name: wrapped} for name in names.split() for wrapped in around(secret)]
            for body in [*sent, {secret: 1}, dict.fromkeys(names.split(), secret)]:
                await declined_without(admin, secret, method, path, body)
    for method, path, names in BODIES:
        for name in {"key", "password", "original_password"} & {*names.split()}:
            for wrapped in around(PASSWORD):
                await declined_without(admin, PASSWORD, method, path, {name: wrapped})


async def declined_without(admin, secret, method, path, body=None):
    answer = await admin.call(method, path, body)
    if answer.status != 200:
        assert secret[4:16] not in json.dumps(answer.body), (path, body, answer.body)


def around(secret):
    """A secret where a field is, and where its field is of another kind."""
    return [secret, [secret], {secret: secret}, [{secret: secret}], secret * 200, [5, secret]]


async def test_no_secret_is_repeated_of_an_address(admin):
    await declined_without(admin, SECRET, "GET", f"/api/log?{SECRET}=1")
    for path in PARAMETERS:
        route, _, query = path.partition("?")
        for name in {each.partition("=")[0] for each in query.split("&")}:
            await declined_without(admin, SECRET, "GET", f"{route}?{name}={SECRET}")


async def test_the_document_lists_every_rule(admin):
    document = (await admin.bare("GET", "/api/openapi.json")).body
    schemas = document["components"]["schemas"]
    assert schemas["Mistake"]["properties"]["code"]["enum"] == [str(rule) for rule in Rule]
    told = document["paths"]["/api/token"]["post"]["responses"]["422"]
    (_, own) = told["content"]["application/json"]["schema"]["allOf"]
    assert own["required"] == ["errors"]
