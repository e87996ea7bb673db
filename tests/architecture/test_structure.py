"""The shape of the code, held by tests: limits, import habits, public names, what stays unloaded."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import evalkit

PACKAGE = Path(__file__).parents[2] / "evalkit"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LATE_IMPORTS_ALLOWED = ("cli/", "pytest_plugin.py", "__init__.py", "router/signature.py")


def _name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


EARLY_MODULES = [path for path in MODULES if not _name(path).startswith(LATE_IMPORTS_ALLOWED)]


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_file_is_short(path: Path) -> None:
    """A file that outgrows the limit is two files."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_functions_are_short(path: Path) -> None:
    """A function that outgrows the limit is two functions."""
    long = {f.name: f.end_lineno - f.lineno + 1 for f in _functions(TREES[path]) if f.end_lineno}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_come_from_leaf_modules(path: Path) -> None:
    """Nobody imports through a package `__init__`: that is how cycles begin."""
    packages = {
        "evalkit",
        *(f"evalkit.{p.parent.relative_to(PACKAGE).as_posix()}" for p in PACKAGE.rglob("*/__init__.py")),
    }
    through = [
        node.module for node in ast.walk(TREES[path]) if isinstance(node, ast.ImportFrom) and node.module in packages
    ]
    assert through == []


@pytest.mark.parametrize("path", EARLY_MODULES, ids=_name)
def test_imports_are_late_only_where_it_is_allowed(path: Path) -> None:
    """An import inside a function hides a dependency, save where start-up time is the point."""
    late = [
        node.lineno
        for function in _functions(TREES[path])
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    assert late == []


def test_public_names_are_pinned() -> None:
    """What users may import changes only on purpose."""
    assert evalkit.__all__ == [
        "Decision",
        "EligibilityReader",
        "EvalkitError",
        "InputError",
        "Plan",
        "Project",
        "RunOptions",
        "RunResult",
        "Selection",
        "arun",
        "assert_eligible",
        "compare",
        "decide",
        "load_project",
        "plan",
        "publish",
        "run",
        "score",
    ]
    assert all(getattr(evalkit, name) is not None for name in evalkit.__all__)
    assert set(evalkit.__all__) <= set(dir(evalkit))


def test_import_loads_nothing_heavy() -> None:
    """`import evalkit` happens in every pytest session of an app: it may load none of its big dependencies."""
    heavy = ("pandas", "numpy", "scipy", "httpx", "aiohttp", "jinja2", "rich", "jsonschema", "sqlalchemy", "pydantic")
    code = f"import sys, evalkit; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    """`evalkit --help` answers before any of the work's libraries is loaded."""
    heavy = ("pandas", "numpy", "scipy", "httpx", "aiohttp", "jinja2", "rich", "jsonschema", "sqlalchemy", "pydantic")
    code = (
        "import sys; from evalkit.cli.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("[]")


ROUTER = sorted(
    path.stem for path in (PACKAGE / "router").glob("*.py") if path.stem not in {"__init__", "litellm_hook"}
)


@pytest.mark.parametrize("module", ROUTER)
def test_router_needs_the_standard_library_only(module: str) -> None:
    """A gateway installs the wheel without its dependencies: all but LiteLLM's own callback must import anywhere."""
    code = f"import sys; import evalkit.router.{module}; print(sorted({{m.split('.')[0] for m in sys.modules}}))"
    found = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ast.literal_eval(found.stdout))
    assert loaded - set(sys.stdlib_module_names) - {"evalkit", "__main__", "sitecustomize", "usercustomize"} == set()


def test_one_module_knows_a_vendor() -> None:
    """The callback that runs inside LiteLLM, and no other; what it decides is decided beside it."""
    vendors = ("import litellm", "from litellm", "import openai", "from openai", "import fastapi", "from fastapi")
    knowing = [
        _name(path) for path in MODULES if any(line.startswith(vendors) for line in path.read_text().splitlines())
    ]
    assert knowing == ["router/litellm_hook.py"]


def test_suppressions_stay_within_budget() -> None:
    """At most one `noqa` and two `type: ignore` per thousand lines."""
    lines = [line for path in MODULES for line in path.read_text(encoding="utf-8").splitlines()]
    thousands = len(lines) / 1000
    assert sum("# noqa" in line for line in lines) <= thousands
    assert sum("# type: ignore" in line for line in lines) <= 2 * thousands


def test_persona_names_stay_in_the_simulator() -> None:
    """No code outside the simulator may know a persona: a verdict could be made to fit it."""
    guilty = [
        _name(path) for path in MODULES if "sim-" in path.read_text() and not _name(path).startswith("simulator/")
    ]
    assert guilty == []
