"""`make vendor`: the console's libraries, fetched anew into admin_api/console/web/vendor.

What is fetched, and of which version, is LIBRARIES below: change a version, run it, look at the console
(`make browser`), commit. People who run Tollhouse need none of this: the files are part of the package.
"""

import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

VENDOR = Path(__file__).parents[1] / "admin_api/console/web/vendor"


class Library(NamedTuple):
    """A package, and which of its files becomes which of ours."""

    name: str
    version: str
    files: dict[str, str]
    licence: str


LIBRARIES = (
    Library(
        "preact",
        "11.2.0",
        {"dist/preact.mjs": "preact.js", "hooks/dist/hooks.mjs": "hooks.js"},
        "LICENSE",
    ),
    Library("htm", "3.1.1", {"dist/htm.mjs": "htm.js"}, "LICENSE"),
    Library(
        "uplot",
        "1.6.32",
        {"dist/uPlot.esm.js": "uplot.js", "dist/uPlot.min.css": "uplot.css"},
        "LICENSE",
    ),
)
# Browsers know no package names, and maps of sources that are not here are of no use.
_PACKAGE = re.compile(r"""(from\s*|import\s*)(["'])preact\2""")
_MAP = re.compile(r"\n?//# sourceMappingURL=\S+\s*")


def main() -> int:
    """Fetch them all; the exit status is 2 where npm is missing or fetches nothing."""
    lines = ["| Library | Version | Files | Licence |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as room:
        for library in LIBRARIES:
            try:
                _fetch(library, Path(room))
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"{library.name} was not fetched: {error}", file=sys.stderr)
                return 2
            files = ", ".join(f"`{name}`" for name in library.files.values())
            licence = f"[{library.name}.licence](./{library.name}.licence)"
            lines.append(f"| {library.name} | {library.version} | {files} | {licence} |")
    told = "Fetched by `make vendor` (tools/vendor.py), which is where versions are changed."
    (VENDOR / "README.md").write_text(
        "\n".join(["# Libraries of the console", "", told, "", *lines, ""])
    )
    return 0


def _fetch(library: Library, room: Path) -> None:
    wanted = f"{library.name}@{library.version}"
    subprocess.run(["npm", "pack", "--silent", wanted], cwd=room, check=True, stdout=sys.stderr)
    (archive,) = room.glob(f"{library.name}-{library.version}.tgz")
    with tarfile.open(archive) as package:
        for source, ours in {
            **library.files,
            library.licence: f"{library.name}.licence",
        }.items():
            file = package.extractfile(f"package/{source}")
            assert file is not None, "a regular file"
            text = file.read().decode()
            text = _MAP.sub("\n", _PACKAGE.sub(r"\1\2./preact.js\2", text))
            (VENDOR / ours).write_text(text)


if __name__ == "__main__":
    sys.exit(main())
