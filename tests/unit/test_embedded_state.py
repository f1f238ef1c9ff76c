"""Promises of the state directory: one owner, private secrets, short socket paths."""

import os
import stat
from pathlib import Path

import pytest

from gateway.embedded.errors import StateError, StateLocked
from gateway.embedded.state import StateDirectory, default_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_second_opener_is_told_the_owner_and_the_place(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path / "state"):
        with pytest.raises(StateLocked) as refused:
            StateDirectory.open(tmp_path / "state")
        assert refused.value.pid == os.getpid()
        assert f"process {os.getpid()}" in str(refused.value)
        assert str(tmp_path / "state") in str(refused.value)


def test_a_closed_directory_may_be_opened_again(tmp_path: Path) -> None:
    state = StateDirectory.open(tmp_path)
    state.close()
    state.close()
    StateDirectory.open(tmp_path).close()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with StateDirectory.open(tmp_path / "s") as state:
            state.secret("pepper")
            assert mode(state.path) == (0o711 if os.geteuid() == 0 else 0o700)
            assert mode(state.run_dir) == 0o700
            assert mode(state.path / "lock") == 0o600
            assert mode(state.path / "secrets") == 0o700
            assert mode(state.secret_path("pepper")) == 0o600
    finally:
        os.umask(before)


def test_a_directory_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    StateDirectory.open(tmp_path).close()
    assert mode(tmp_path) == 0o750


def test_a_secret_is_made_once_and_stays(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        first = state.secret("postgres")
        assert len(bytes.fromhex(first)) == 32
        assert state.secret("postgres") == first
        assert state.secret("valkey") != first
        assert state.secret_path("postgres").read_text() == first
    with StateDirectory.open(tmp_path) as state:
        assert state.secret("postgres") == first


def test_a_half_written_secret_of_a_killed_process_is_never_used(tmp_path: Path) -> None:
    with StateDirectory.open(tmp_path) as state:
        state.secret("other")
        unfinished = state.secret_path("postgres").with_name("postgres.tmp")
        unfinished.write_text("0123")
        assert len(state.secret("postgres")) == 64
        assert not unfinished.exists()


@pytest.mark.parametrize("damage", ["", "0123", "g" * 64])
def test_a_damaged_secret_is_not_replaced(tmp_path: Path, damage: str) -> None:
    with StateDirectory.open(tmp_path) as state:
        state.secret("pepper")
        state.secret_path("pepper").write_text(damage)
        with pytest.raises(StateError, match="pepper is damaged"):
            state.secret("pepper")
        assert state.secret_path("pepper").read_text() == damage


@pytest.mark.parametrize("name", ["", "../lock", "/etc/passwd", "A", "a/b", "-a", "a.tmp"])
def test_a_secret_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with StateDirectory.open(tmp_path) as state, pytest.raises(ValueError, match="not a name"):
        state.secret_path(name)


@pytest.mark.parametrize("tail", ["d" * 120, "with space", "comma,comma", "per%cent"])
def test_sockets_lie_in_a_short_plain_place_whatever_the_state_is_called(
    tmp_path: Path, tail: str
) -> None:
    with StateDirectory.open(tmp_path / tail) as state:
        run = state.run_dir
        assert run.parent == Path("/tmp")
        assert mode(run) == 0o700
    assert not run.exists()


def test_sockets_lie_in_the_state_where_it_is_shallow() -> None:
    shallow = Path(f"/tmp/th-{os.getpid()}")
    try:
        with StateDirectory.open(shallow) as state:
            assert state.run_dir == shallow / "run"
        assert state.run_dir.is_dir()
    finally:
        for name in ("run",):
            (shallow / name).rmdir()
        (shallow / "lock").unlink()
        shallow.rmdir()


def test_a_killed_owner_leaves_no_directory_behind_below_tmp(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, str(StateDirectory.open(deep).run_dir).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        left = Path(answer.read())
    assert left.is_dir()
    with StateDirectory.open(deep) as state:
        assert not left.exists()
        assert state.run_dir != left


def test_an_unusable_place_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"file/state.*TOLLHOUSE_STATE"):
        StateDirectory.open(tmp_path / "file" / "state")


def test_the_default_place_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere/state")
    root = os.geteuid() == 0
    assert default_path() == Path("/var/lib/tollhouse" if root else "/somewhere/state/tollhouse")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    expected = "/var/lib/tollhouse" if root else "/home/somebody/.local/state/tollhouse"
    assert default_path() == Path(expected)
