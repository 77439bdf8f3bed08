"""The stand-in venues share no code with the adapters they judge."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = ("core", "exchanges", "schema", "actors", "facade", "bin", "tests")
FILES = sorted((ROOT / "exchanges" / "simulator").rglob("*.py"))


def foreign(source: str) -> list[str]:
    """Modules of this project that a simulator's file imports, its own left out."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "." * node.level)
    ours = [name for name in names if name.split(".", 1)[0] in (*OURS, "")]
    return [name for name in ours if not name.startswith("exchanges.simulator")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_simulators_file_imports_nothing_of_the_project_but_the_simulator(path: Path) -> None:
    assert foreign(path.read_text()) == []


def test_nothing_but_the_command_and_tests_imports_the_simulator() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for folder in ("core", "exchanges", "schema", "actors", "facade", "bin")
        for path in (ROOT / folder).rglob("*.py")
        if "exchanges.simulator" in path.read_text() and path not in FILES
    ]
    assert [path for path in users if not path.startswith("bin/commands/")] == []


@pytest.mark.parametrize(
    "source",
    [
        "import core.ids",
        "from exchanges.wire import Request",
        "def f():\n    import exchanges.base",
        "from . import x",
    ],
)
def test_the_check_bites(source: str) -> None:
    assert len(foreign(source)) == 1
