"""Files of the project and the interpreter that runs them: this checkout's, its compiled ones, or another commit's."""

import argparse
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where a version of the project stands, and the Python of its environment."""

    root: Path
    python: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes that Python, and all that it starts, import these files."""
        return {"PYTHONPATH": str(self.root)}

    def require_own_files(self, environment: dict[str, str]) -> None:
        """Make sure of it. Raises `RuntimeError`."""
        command = [self.python, "-c", "import gateway; print(gateway.__file__)"]
        said = subprocess.run(
            command, cwd=self.root, env=environment, check=True, capture_output=True, text=True
        ).stdout
        if not Path(said.strip()).is_relative_to(self.root):
            raise RuntimeError(f"{self.python} imports {said.strip()}, not what is in {self.root}")


HERE = Checkout(Path(__file__).parents[1], sys.executable)


def add_choice(parser: argparse.ArgumentParser) -> None:
    """The option by which `measured` goes."""
    parser.add_argument(
        "--interpreted",
        action="store_true",
        help="measure the sources as `make run` has them, not what `make compiled` makes of them",
    )


def measured(*, interpreted: bool) -> Checkout:
    """What a bench measures: the modules of a call's way compiled, as images have them, or this checkout.

    Compiles first, where something has changed. Raises `subprocess.CalledProcessError`.
    """
    if interpreted:
        return HERE
    if not shutil.which("cc"):
        print("There is no C compiler: Tollhouse is measured interpreted.")
        return HERE
    subprocess.run(["make", "--no-print-directory", "compiled"], cwd=HERE.root, check=True)
    return Checkout(HERE.root / "build" / "compiled", sys.executable)
