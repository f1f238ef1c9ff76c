"""The audit as it is read: filters, cursors, who may."""

from tests.admin import done


async def rows(admin, query, **more):
    return (await done(admin, "GET", f"/api/audit?{query}", **more))["items"]


async def test_the_audit_tells_who_changed_what_from_where(admin):
    made = await admin.create()
    answer = await admin.call("PATCH", f"/api/token/{made['id']}", {"name": "renamed"})
    (newest, *_) = await rows(admin, f"object_kind=token&object_id={made['id']}")
    assert (newest["actor"], newest["actor_name"]) == ("user:1", "admin")
    assert (newest["action"], newest["object_kind"]) == ("token.update", "token")
    assert (newest["before"]["name"], newest["after"]["name"]) == ("app", "renamed")
    assert newest["address"] == "127.0.0.1"
    assert newest["request_id"] == answer.headers["X-Request-Id"]
    assert made["key"] not in str(await rows(admin, "limit=100"))


async def test_filters_narrow_the_audit_down(admin):
    user_id, token = await admin.user("ada")
    await admin.create(token=token)
    await admin.create()
    at = [each["at"] for each in await rows(admin, "limit=100")]
    everything = len(at)
    for query, count in (
        (f"actor={user_id}", 1),
        (f"actor=user:{user_id}", 1),
        ("actor=system", everything - 2),
        ("action=token.create", 3),
        ("object_kind=user", 2),
        (f"object_kind=user&object_id={user_id}", 1),
        ("object_kind=user&object_id=x", 0),
        (f"start={int(min(at))}", everything),
        (f"end={int(min(at))}", 0),
        ("action=token.create&actor=1&cursor=&start=", 1),
    ):
        assert len(await rows(admin, f"limit=100&{query}")) == count, query


async def test_a_cursor_goes_on_where_the_last_part_ended_whatever_was_added(admin):
    for _ in range(5):
        await admin.create()
    first = (await admin.call("GET", "/api/audit?limit=4")).data
    await admin.create()
    seen = [each["id"] for each in first["items"]]
    cursor = first["next_cursor"]
    while cursor:
        part = (await admin.call("GET", f"/api/audit?limit=3&cursor={cursor}")).data
        seen += [each["id"] for each in part["items"]]
        cursor = part["next_cursor"]
    assert seen == list(range(seen[0], 0, -1))


async def test_what_the_audit_cannot_be_asked_is_refused(admin, subtests):
    for query, told in (
        ("object_id=1", "object_id: is an id of what?"),
        ("cursor=0", "cursor: is not the next_cursor"),
        ("cursor=x", "cursor: must be a whole number"),
        ("limit=1.5", "limit: must be a whole number"),
        ("start=1900000000000", "start: counts seconds"),
        ("actor=%00", "control characters"),
    ):
        with subtests.test(query=query):
            answer = await admin.call("GET", f"/api/audit?{query}")
            assert (answer.status, told in answer.message) == (422, True)


async def test_viewers_read_the_audit_and_users_do_not(admin):
    for role, status in (("viewer", 200), ("operator", 200), ("admin", 200), ("user", 403)):
        _, token = await admin.user(f"a-{role}", role=role)
        assert (await admin.call("GET", "/api/audit", token=token)).status == status
