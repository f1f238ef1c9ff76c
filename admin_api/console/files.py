"""The console's files, as they are served: read once, compressed once, under addresses that change with them.

`/` names the release in every address, which is a digest of all files; so browsers may keep what they have got for
good, and a page that is left open over an update finds nothing of the new one instead of half of it.
"""

import gzip
import re
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

_TYPES: Final = {
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
}
_IMPORT: Final = re.compile(r"""^(?:import|export)\b[^;]*?["'](\.[^"']+)["'];""", re.MULTILINE)


class File(NamedTuple):
    """A file as it is and as it is sent."""

    content: bytes
    compressed: bytes
    content_type: str


class Console(NamedTuple):
    """All files by their path below the console's directory, and a digest of them."""

    files: dict[str, File]
    release: str

    def address(self, path: str) -> str:
        """Where a file is found as long as it is this one."""
        return f"/console/{self.release}/{path}"

    def imported(self, path: str) -> list[str]:
        """What a module needs before it runs, itself first, each once: without it a browser finds out one by one."""
        found = [path]
        for each in found:
            for other in _IMPORT.findall(self.files[each].content.decode()):
                target = _joined(each, other)
                if target not in found:
                    found.append(target)
        return found

    def page(self, name: str) -> str:
        """An HTML page with the addresses of this release."""
        text = self.files[name].content.decode()
        preload = "\n".join(
            f'<link rel="modulepreload" href="{self.address(path)}">'
            for path in self.imported("main.js")[1:]
        )
        return text.replace("$preload", preload).replace("$release", self.release)


def read_console() -> Console:
    """Read them from the package."""
    found = dict(_read(files("admin_api").joinpath("console", "web"), ""))
    digest = sha256()
    for path in sorted(found):
        digest.update(path.encode() + b"\0" + found[path].content + b"\0")
    return Console(found, digest.hexdigest()[:12])


def _read(directory: Traversable, prefix: str) -> list[tuple[str, File]]:
    found = []
    for each in directory.iterdir():
        if each.is_dir():
            found += _read(each, f"{prefix}{each.name}/")
            continue
        kind = _TYPES.get(each.name.rpartition(".")[2])
        if kind or each.name.endswith(".html"):
            content = each.read_bytes()
            compressed = gzip.compress(content, mtime=0)
            found.append((prefix + each.name, File(content, compressed, kind or "text/html")))
    return found


def _joined(path: str, relative: str) -> str:
    parts = path.split("/")[:-1]
    for part in relative.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


CONSOLE: Final = read_console()
