"""What is written in C: the mock and the generator, compiled when they are needed, where a C compiler is at hand."""

import hashlib
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

_SOURCES = Path(__file__).with_name("native")


def cache_directory() -> Path:
    """Where what was made once is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tollhouse-bench"


@cache
def program(name: str) -> str:
    """The path of the program made of native/<name>.c; "" where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        return ""
    sources = b"".join(path.read_bytes() for path in sorted(_SOURCES.iterdir()))
    version = hashlib.sha256(sources).hexdigest()[:16]
    made = cache_directory() / f"native-{version}" / name
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        source, unfinished = _SOURCES / f"{name}.c", made.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-o", str(unfinished), str(source), "-lm"]
        subprocess.run(command, check=True)
        unfinished.rename(made)
    return str(made)
