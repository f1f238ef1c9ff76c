"""What asyncpg is told of a DSN of ours."""

import pytest

from gateway.store.postgres import _address, is_pooled

READ_WRITE = "target_session_attrs=read-write"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgresql://u:p@/d?host=/run/x", "postgresql://u:p@/d?host=%2Frun%2Fx"),
        ("postgresql://u:p@h1,h2:5433/d", f"postgresql://u:p@h1,h2:5433/d?{READ_WRITE}"),
        ("postgresql://u:p%2C@h/d", "postgresql://u:p%2C@h/d"),
        ("postgresql://u@/d?host=h1,h2", f"postgresql://u@/d?host=h1%2Ch2&{READ_WRITE}"),
        (
            "postgresql://u@h1,h2/d?target_session_attrs=any",
            "postgresql://u@h1,h2/d?target_session_attrs=any",
        ),
        ("postgresql://u@h/d?pgbouncer=true", "postgresql://u@h/d"),
        ("postgresql://u@/d?host=/run/x&embedded=true", "postgresql://u@/d?host=%2Frun%2Fx"),
        (
            "postgresql://u@h/d?pgbouncer=false&sslmode=require",
            "postgresql://u@h/d?sslmode=require",
        ),
    ],
)
def test_of_several_hosts_the_one_that_can_be_written_is_meant(given: str, told: str):
    assert _address(given, 1)["dsn"] == told


def test_a_pooler_gets_no_setting_that_it_would_refuse():
    plain, pooled = (
        _address(f"postgresql://u@h/d?pgbouncer={each}", 1) for each in ("false", "true")
    )
    assert plain["server_settings"]["statement_timeout"] == "1000"
    assert set(pooled["server_settings"]) == {"application_name", "timezone"}
    assert pooled["statement_cache_size"] == 0
    assert is_pooled("postgresql://u@h/d?a=b&pgbouncer=true")
    assert not is_pooled("postgresql://u@h/pgbouncer=true")
