"""`tollhouse completion SHELL`: a script for the shell, made from the parser itself."""

import argparse

import shtab


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """What the shell has to source."""
    _complete_files(parser)
    return str(shtab.complete(parser, shell=shell))


def _complete_files(parser: argparse.ArgumentParser) -> None:
    """Options that take a FILE complete files."""
    for action in parser._actions:  # noqa: SLF001 -- argparse shows them nowhere else; shtab reads them, too
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for each in action.choices.values():
                _complete_files(each)
        elif action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
