"""Lists of more tokens than are fetched and sorted: they say the same as a list of few would."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gateway.domain.rejection import Rejected
from gateway.settings import Config
from gateway.store import token_estimates
from gateway.store.bootstrap import bootstrap
from gateway.store.postgres import open_pool
from gateway.store.token_filters import FEW, TokenQuery
from gateway.store.token_lists import list_tokens
from gateway.store.token_pages import SORTS
from tests.admin import PEPPER

NOW = datetime(2027, 1, 1, tzinfo=UTC)
MANY = FEW + 2_000
UNLIMITED = 2**63 - 1

_FILL = """
INSERT INTO token (account_id, user_id, group_id, name, status, expires_at, granted, used,
                   created_at, accessed_at)
SELECT u.account_id, u.id,
       CASE WHEN n % 4 = 0 THEN (SELECT id FROM "group" WHERE name = 'vip') END,
       (ARRAY['Prod', 'dev', 'ci'])[1 + n % 3] || '-' || md5(n::text),
       CASE WHEN n % 17 = 0 THEN 2 ELSE 1 END,
       CASE n % 3 WHEN 0 THEN $2::timestamptz + (n % 100 - 50) * interval '1 day' END,
       CASE n % 5 WHEN 0 THEN NULL WHEN 1 THEN 5000 ELSE 1000000 + n * 7 % 1000 END,
       CASE WHEN n % 2 = 0 THEN 0 ELSE n::bigint * n % 1000003 END,
       $2::timestamptz - n * interval '1 hour',
       CASE WHEN n % 2 = 1 THEN $2::timestamptz - n % 700 * interval '1 minute' END
  FROM "user" u, generate_series(1, $1::int) n
"""

_KEYS = {
    "id": lambda row: row.id,
    "name": lambda row: row.name.lower(),
    "created_time": lambda row: row.created_at,
    "accessed_time": lambda row: row.accessed_at or datetime.min.replace(tzinfo=UTC),
    "expired_time": lambda row: row.expires_at or datetime.max.replace(tzinfo=UTC),
    "used_quota": lambda row: row.used,
    "remain_quota": lambda row: UNLIMITED if row.granted is None else row.granted - row.used,
}

_FILTERS = {
    "none": ({}, lambda _: True),
    "live": ({"status": 1}, lambda row: row.effective_status(NOW.timestamp()) == 1),
    "disabled": ({"status": 2}, lambda row: row.effective_status(NOW.timestamp()) == 2),
    "expired": ({"status": 3}, lambda row: row.effective_status(NOW.timestamp()) == 3),
    "exhausted": ({"status": 4}, lambda row: row.effective_status(NOW.timestamp()) == 4),
    "a group": ({"group": "vip"}, lambda row: row.group == "vip"),
    "the user's group": ({"group": "default"}, lambda row: row.group is None),
    "a keyword": ({"keyword": "ROD-"}, lambda row: "prod-" in row.name.lower()),
    "a short keyword": ({"keyword": "pr"}, lambda row: row.name.startswith("Prod")),
    "all of them": (
        {"keyword": "prod", "group": "vip", "status": 4},
        lambda row: (
            row.name.startswith("Prod")
            and row.group == "vip"
            and row.effective_status(NOW.timestamp()) == 4
        ),
    ),
}


@pytest.fixture
async def pool(postgres_dsn):
    """A database in which one user has many tokens."""
    async with await open_pool(postgres_dsn, size=2, statement_timeout_s=30) as opened:
        await bootstrap(opened, PEPPER, Config.model_validate({"groups": {"vip": {}}}))
        await opened.execute(_FILL, MANY, NOW)
        await opened.execute("VACUUM ANALYZE token")
        yield opened


async def everything(pool):
    """Every token, by pages, as lists by id tell of them."""
    rows = []
    while True:
        query = TokenQuery(user_id=1, limit=5_000, offset=len(rows))
        page = await list_tokens(pool, query, NOW)
        if not page.rows:
            return rows
        rows += page.rows


async def test_a_page_of_many_is_the_page_of_all_that_were_filtered_and_sorted(pool, subtests):
    rows = await everything(pool)
    assert len(rows) == MANY + 1
    for user_id in (1, None):
        for name, (fields, matches) in _FILTERS.items():
            found = [row for row in rows if matches(row)]
            for sort, key in _KEYS.items():
                for descending in (True, False):
                    with subtests.test(user_id=user_id, of=name, sort=sort, descending=descending):
                        ordered = sorted(found, key=lambda r: (key(r), r.id), reverse=descending)
                        for offset in (0, 990):
                            query = TokenQuery(
                                user_id=user_id,
                                sort=sort,
                                descending=descending,
                                limit=20,
                                offset=offset,
                                **fields,
                            )
                            page = await list_tokens(pool, query, NOW)
                            assert [row.id for row in page.rows] == [
                                row.id for row in ordered[offset : offset + 20]
                            ]
                            assert page.total_is_estimate == (len(found) > FEW)
                            if not page.total_is_estimate:
                                assert page.total == len(found)


async def test_the_number_of_many_is_an_estimate_that_says_so(pool):
    page = await list_tokens(pool, TokenQuery(user_id=1), NOW)
    assert page.total_is_estimate
    assert FEW < page.total < 2 * MANY


async def test_what_the_planner_is_sure_of_is_not_counted_and_the_page_is_the_same(
    pool, subtests, monkeypatch
):
    pages = {}
    for surely_many in (token_estimates.SURELY_MANY, 1_000):
        monkeypatch.setattr(token_estimates, "SURELY_MANY", surely_many)
        for name in ("none", "live", "expired", "a group", "a keyword"):
            for sort in SORTS:
                query = TokenQuery(user_id=1, sort=sort, limit=20, **_FILTERS[name][0])
                pages.setdefault((name, sort), []).append(await list_tokens(pool, query, NOW))
    for (name, sort), (counted, expected) in pages.items():
        with subtests.test(of=name, sort=sort):
            assert [row.id for row in expected.rows] == [row.id for row in counted.rows]
            if name in {"none", "a group"}:
                assert expected.total_is_estimate
                assert counted.total / 2 < expected.total < counted.total * 2


async def test_a_planner_that_was_wrong_costs_time_and_no_exactness(pool, monkeypatch):
    monkeypatch.setattr(token_estimates, "SURELY_MANY", 1_000)
    await pool.execute("DELETE FROM token WHERE id > 50")
    page = await list_tokens(pool, TokenQuery(user_id=1, limit=100), NOW)
    assert (len(page.rows), page.total, page.total_is_estimate) == (50, 50, False)


async def test_a_page_lies_across_what_is_read_apart_and_beyond_it(pool, subtests):
    rows = await everything(pool)
    for sort in ("accessed_time", "used_quota", "remain_quota"):
        key = _KEYS[sort]
        for descending in (True, False):
            ordered = sorted(rows, key=lambda r: (key(r), r.id), reverse=descending)
            shared = key(ordered[0]), key(ordered[-1])
            ends = [len([row for row in rows if key(row) == each]) for each in shared]
            offsets = {ends[0] - 7, ends[0], len(rows) - ends[1] - 7, FEW - 20}
            for offset in (each for each in offsets if 0 <= each <= FEW - 20):
                with subtests.test(sort=sort, descending=descending, offset=offset):
                    query = TokenQuery(
                        user_id=1, sort=sort, descending=descending, limit=20, offset=offset
                    )
                    page = await list_tokens(pool, query, NOW)
                    assert [r.id for r in page.rows] == [
                        r.id for r in ordered[offset : offset + 20]
                    ]


async def test_a_keyword_is_met_once_wherever_it_stands_in_a_name(pool, subtests, monkeypatch):
    await pool.execute(
        """
        UPDATE token SET name = CASE id % 4 WHEN 0 THEN 'a-' || name WHEN 1 THEN 'PROD-' || name ELSE 'PRO' END
         WHERE id % 50 < 4
        """
    )
    rows = [row for row in await everything(pool) if "prod" in row.name.lower()]
    for surely_many in (token_estimates.SURELY_MANY, 1_000):
        monkeypatch.setattr(token_estimates, "SURELY_MANY", surely_many)
        for sort, key in _KEYS.items():
            with subtests.test(surely_many=surely_many, sort=sort):
                ordered = sorted(rows, key=lambda r: (key(r), r.id))
                query = TokenQuery(
                    user_id=1, keyword="Prod", sort=sort, descending=False, limit=200
                )
                page = await list_tokens(pool, query, NOW)
                assert [row.id for row in page.rows] == [row.id for row in ordered[:200]]
                if not page.total_is_estimate:
                    assert page.total == len(rows)


async def test_where_filters_leave_many_a_sample_proves_it_instead_of_a_count(pool, monkeypatch):
    fields = {"status": 3, "keyword": "prod"}
    counted = await list_tokens(pool, TokenQuery(user_id=1, **fields), NOW)
    assert not counted.total_is_estimate
    monkeypatch.setattr(token_estimates, "FEW", 500)
    monkeypatch.setattr(token_estimates, "_WORTH_A_SAMPLE", 500)
    sampled = await list_tokens(pool, TokenQuery(user_id=1, **fields), NOW)
    assert sampled.total_is_estimate
    assert [row.id for row in sampled.rows] == [row.id for row in counted.rows]


async def test_where_filters_exclude_each_other_a_sample_proves_nothing(pool, monkeypatch):
    monkeypatch.setattr(token_estimates, "FEW", 100)
    monkeypatch.setattr(token_estimates, "_WORTH_A_SAMPLE", 100)
    page = await list_tokens(pool, TokenQuery(user_id=1, status=3, keyword="dev-"), NOW)
    assert (page.rows, page.total, page.total_is_estimate) == ([], 0, False)


async def test_how_many_have_expired_is_known_and_not_guessed(pool, monkeypatch):
    monkeypatch.setattr(token_estimates, "SURELY_MANY", 1_000)
    await pool.execute("UPDATE token SET expires_at = $1 WHERE id > 150", NOW + timedelta(days=1))
    await pool.execute("UPDATE token SET expires_at = $1, status = 1 WHERE id <= 150", NOW)
    await pool.execute("VACUUM ANALYZE token")
    page = await list_tokens(pool, TokenQuery(user_id=1, status=3, limit=100), NOW)
    assert (len(page.rows), page.total, page.total_is_estimate) == (100, 150, False)


async def test_only_by_id_do_lists_of_many_go_to_the_end(pool):
    deep = await list_tokens(pool, TokenQuery(user_id=1, offset=MANY - 4), NOW)
    assert [row.id for row in deep.rows] == [5, 4, 3, 2, 1]
    with pytest.raises(Rejected, match="sort it by id"):
        await list_tokens(pool, TokenQuery(user_id=1, sort="name", offset=FEW), NOW)


async def test_without_a_trigram_index_many_are_searched_by_the_beginning_of_names(pool):
    await pool.execute("DROP INDEX token_trigram")
    inside = await list_tokens(pool, TokenQuery(user_id=1, keyword="rod-"), NOW)
    assert inside.total == 0
    start = await list_tokens(pool, TokenQuery(user_id=1, keyword="prod-"), NOW)
    assert start.total == MANY // 3
    await pool.execute("DELETE FROM token WHERE id > 100")
    few = await list_tokens(pool, TokenQuery(user_id=1, keyword="rod-"), NOW)
    assert few.total == len(few.rows) + 23


async def test_what_is_posted_moves_no_index_entry_while_its_first_digits_stay(pool):
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE token SET used = 5000, accessed_at = $1 WHERE id = 6", NOW)
        moved = "SELECT pg_stat_get_xact_tuples_hot_updated('token'::regclass)"
        before = await connection.fetchval(moved)
        later = NOW + timedelta(minutes=1)
        await connection.execute(
            "UPDATE token SET used = 5001, accessed_at = $1 WHERE id = 6", later
        )
        assert await connection.fetchval(moved) == before + 1


async def test_steps_are_in_the_order_of_the_amounts(pool):
    amounts = [-(10**15), -1001, -1000, -999, -10, -1, 0, 1, 9, 10, 99, 100, 999, 1000, 10**15]
    steps = await pool.fetchval(
        "SELECT array_agg(amount_step(x) ORDER BY x) FROM unnest($1::bigint[]) x", amounts
    )
    assert all(one <= other for one, other in pairwise(steps))
    assert steps[amounts.index(0)] == 0
    assert steps[amounts.index(1000)] == await pool.fetchval("SELECT amount_step(1009)")
    assert set(SORTS) == set(_KEYS)
