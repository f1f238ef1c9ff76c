#!/usr/bin/env python3
"""The licences of what is installed with Tollhouse, one line for each package of `requirements.lock`.

Exit status 1 where a package has a licence that is not in `ALLOWED`, or tells none; 2 where not all of them are
installed. A package that the lock has for other
platforms or versions of Python is passed over, and named. With `--lock FILE` another lock is read.
"""

import argparse
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Those that let anybody use, change and pass on Tollhouse, an MIT-licensed whole; MPL-2.0 binds its own files alone.
ALLOWED = frozenset(
    {"Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
)
# How packages without a licence expression (PEP 639) say it.
_OTHER_NAMES = {
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 2-Clause License": "BSD-2-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)([^\\\n]*)", re.MULTILINE)


def main() -> int:
    """Print the report. 1: something is not allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", type=Path, default=ROOT / "requirements.lock")
    try:
        found, elsewhere = licences_of(parser.parse_args().lock.read_text())
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    for name, licences in found.items():
        print(f"{name:24} {', '.join(sorted(licences)) or 'none told'}")
    print(f"for other platforms: {', '.join(elsewhere) or 'none'}")
    wrong = {name: told for name, told in found.items() if not told or told - ALLOWED}
    for name, told in wrong.items():
        print(f"not allowed: {name} ({', '.join(sorted(told)) or 'none told'})", file=sys.stderr)
    return 1 if wrong else 0


def licences_of(lock: str) -> tuple[Mapping[str, frozenset[str]], list[str]]:
    """The licences of each package that is installed, and the packages that are not.

    Raises `LookupError` for one that ought to be installed and is not, or is of another version.
    """
    found, elsewhere = {}, []
    for name, version, marker in _PINNED.findall(lock):
        try:
            told = metadata(name)
        except PackageNotFoundError:
            if not marker.strip():
                raise LookupError(f"{name} is not installed: make setup") from None
            elsewhere.append(name)
            continue
        if told["Version"] != version and marker.strip():
            elsewhere.append(f"{name} {version}")
            continue
        if told["Version"] != version:
            raise LookupError(f"{name} {told['Version']} is installed, not {version}: make setup")
        found[name] = _licences(
            told.get("License-Expression", ""),
            [each for each in told.get_all("Classifier") or [] if each.startswith("License ::")],
            told.get("License", ""),
        )
    return found, elsewhere


def _licences(expression: str, classifiers: list[str], text: str) -> frozenset[str]:
    """Every licence that is named: of a choice all have to be allowed, which is simpler, and stricter."""
    if expression:
        return frozenset(re.split(r"\s+(?:AND|OR|WITH)\s+", re.sub(r"[()]", "", expression)))
    names = [each.rpartition(" :: ")[2] for each in classifiers]
    names = [each for each in names if each != "OSI Approved"] or text.strip().splitlines()[:1]
    return frozenset(_OTHER_NAMES.get(each, each) for each in names)


if __name__ == "__main__":
    sys.exit(main())
