"""What mypyc makes something else of than Python does, and mypy does not see."""

import ast
import tomllib

import pytest

from tests.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]


@pytest.mark.parametrize("module", HOOK["modules"])
def test_no_function_has_one_name_for_exceptions_of_two_kinds(module):
    # A variable has one type for the whole of a function: the second kind would be a TypeError when it is caught.
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            kinds: dict[str, set[str]] = {}
            for handler in ast.walk(function):
                if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
                    kinds.setdefault(handler.name, set()).add(ast.unparse(handler.type))
            assert {name: found for name, found in kinds.items() if len(found) > 1} == {}
