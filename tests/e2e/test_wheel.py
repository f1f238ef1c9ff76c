"""The built wheel, installed elsewhere, is the whole product."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__

ROOT = Path(__file__).parents[2]
START_S = 60
DATA = (
    "schema.sql",
    "config.example.toml",
    *sorted(f"migrations/{file.name}" for file in (ROOT / "migrations").iterdir()),
)


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*command, *map(str, arguments)], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing of the checkout but what the wheel brings."""
    site = tmp_path_factory.mktemp("site")
    pip("install", "--no-deps", "--target", site, wheel)
    return site


@pytest.fixture
def environment(installed: Path) -> dict[str, str]:
    """That of somebody who has set nothing up."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(installed)}


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that another user can reach, as root's embedded servers need."""
    folder = Path(tempfile.mkdtemp(prefix="tollhouse-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    in_checkout = {
        path.relative_to(ROOT).as_posix()
        for package in ("gateway", "admin_api")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    data = {f"gateway/data/{name}" for name in DATA}
    packaged = {name for name in in_wheel if ".dist-info/" not in name}
    assert packaged == in_checkout | data
    assert any(name.endswith(".lua") for name in packaged)
    assert any(name.startswith("admin_api/console/") for name in packaged)


def test_schema_migrations_and_example_are_those_of_the_checkout(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    for name in DATA:
        assert archive.read(f"gateway/data/{name}") == (ROOT / name).read_bytes()


def test_its_metadata_names_licence_command_and_servers(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"tollhouse-{__version__}.dist-info"
    assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert "tollhouse = gateway.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert "Provides-Extra: embedded" in archive.read(f"{info}/METADATA").decode()


def test_the_command_runs_from_it(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    program = "import gateway.cli; print(gateway.cli.__file__)"
    where = run([sys.executable, "-c", program], environment, tmp_path)
    assert where.startswith(str(installed))
    version = run([sys.executable, "-m", "gateway.cli", "--version"], environment, tmp_path)
    assert __version__ in version


def run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout


def test_tollhouse_run_starts_answers_and_stops(
    environment: dict[str, str], state: Path, tmp_path: Path
) -> None:
    environment |= {
        "TOLLHOUSE_STATE": str(state),
        "TOLLHOUSE_GATEWAY__LISTEN": "127.0.0.1:0",
        "TOLLHOUSE_GATEWAY__WORKERS": "1",
        "TOLLHOUSE_ADMIN__LISTEN": "127.0.0.1:0",
    }
    output = tmp_path / "output"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "run"],
            env=environment,
            cwd=tmp_path,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ready = wait_for(state / "ready.json", process, output)
        with urllib.request.urlopen(ready["gateway_url"] + "/healthz", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0, output.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    assert not (state / "ready.json").exists()


def wait_for(file: Path, process: subprocess.Popen[bytes], output: Path) -> Any:
    """The content of `file`, which is renamed into place when everything answers."""
    deadline = time.monotonic() + START_S
    while not file.exists():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)
    return json.loads(file.read_bytes())
