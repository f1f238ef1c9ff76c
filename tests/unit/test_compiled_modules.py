"""What mypyc makes something else of than Python does, and mypy does not see."""

import ast
import tomllib

import pytest

from tests.documents import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HOOK = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]


MODULES = pytest.mark.parametrize("module", HOOK["modules"])


def functions(module):
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield function


@MODULES
def test_no_function_has_one_name_for_exceptions_of_two_kinds(module):
    # A variable has one type for the whole of a function: the second kind would be a TypeError when it is caught.
    for function in functions(module):
        kinds: dict[str, set[str]] = {}
        for handler in ast.walk(function):
            if isinstance(handler, ast.ExceptHandler) and handler.name and handler.type:
                kinds.setdefault(handler.name, set()).add(ast.unparse(handler.type))
        assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


@MODULES
def test_nothing_is_awaited_where_an_exception_is_handled(module):
    # What is being handled is then left to whoever runs meanwhile, and may stay for ever: each of the next ones keeps
    # the one before it, with all that its traceback holds.
    for function in functions(module):
        for node in ast.walk(function):
            if isinstance(node, ast.Try):
                handled = [*node.handlers, *node.finalbody]
                assert [at.lineno for part in handled for at in ast.walk(part) if waits(at)] == []
            # The end of one of these is awaited there, too; a timeout's waits for nothing.
            if isinstance(node, ast.AsyncWith):
                entered = [ast.unparse(item.context_expr) for item in node.items]
                assert [each for each in entered if not each.startswith("asyncio.timeout(")] == []


def waits(node):
    return isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor)
