"""Each invariant is named by a test that proves it: in the test's own name or docstring, or in its class's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
HELD = range(1, 21)

_IN_PROSE = re.compile(r"\bI(\d{1,2})\b")
_RANGE = re.compile(r"\bI(\d{1,2})(?:–|-)I(\d{1,2})\b")


def named(source: str) -> Iterator[tuple[int, str]]:
    """Invariants the tests of a file name, each with the test."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for part in node.name.split("_"):
                if re.fullmatch(r"i\d{1,2}", part):
                    yield int(part[1:]), node.name
        elif not (isinstance(node, ast.ClassDef) and _holds_tests(node)):
            continue
        prose = ast.get_docstring(node) or ""
        for first, last in _RANGE.findall(prose):
            yield from ((number, node.name) for number in range(int(first), int(last) + 1))
        yield from ((int(number), node.name) for number in _IN_PROSE.findall(prose))


def _holds_tests(node: ast.ClassDef) -> bool:
    """A class of tests, or a machine that Hypothesis runs as one."""
    bases = {base.id if isinstance(base, ast.Name) else getattr(base, "attr", "") for base in node.bases}
    return node.name.startswith("Test") or "RuleBasedStateMachine" in bases


@pytest.fixture(scope="module")
def proofs() -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if path != Path(__file__):
            for number, test in named(path.read_text()):
                found.setdefault(number, []).append(f"{path.relative_to(TESTS)}::{test}")
    return found


@pytest.mark.parametrize("number", HELD)
def test_every_invariant_that_is_built_is_named_by_a_test(proofs: dict[int, list[str]], number: int) -> None:
    assert proofs.get(number), f"no test names I{number} in its name or docstring"


@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ("def test_i7_a_limit(): ...", [7]),
        ("def test_i1_i5_both(): ...", [1, 5]),
        ('def test_a():\n    """I12: foreign ids."""', [12]),
        ('def test_a():\n    """I1, I2 and (I11)."""', [1, 2, 11]),
        ('def test_a():\n    """I5–I7."""', [5, 6, 7]),
        ('class Machine(RuleBasedStateMachine):\n    """I7 in every interleaving."""', [7]),
        ('class TestA:\n    """I9."""', [9]),
        # Named elsewhere than by a test.
        ('"""I7."""', []),
        ('def helper():\n    """I7."""', []),
        ("def test_a():\n    pass  # I7", []),
        ("def test_big_i18n(): ...", []),
        ('class Fake:\n    """I7."""', []),
    ],
)
def test_only_a_tests_own_words_count(source: str, numbers: list[int]) -> None:
    assert sorted({number for number, _ in named(source)}) == numbers
