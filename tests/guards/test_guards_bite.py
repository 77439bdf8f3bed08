"""Each guard of the program taken out in turn: somebody must notice, and names the invariant that is broken.

The tests that must fail here are part of the suite, which shows that they pass where nothing is taken out.
"""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.guards import raced, simulated, tested
from tests.guards.guard import BySeeds, ByTest, Change, Guard, Seeds
from tests.guards.workshop import GuardMoved, Workshop


def named(guards: tuple[Guard, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("guard", guards, ids=[guard.name for guard in guards])


@cache
def unbroken(workshop: Workshop, seeds: Seeds) -> bool:
    """Whether the copy as it is passes; several guards may be missed by the same seed."""
    return not workshop.violations(seeds)


@named(simulated.GUARDS)
def test_without_its_guard_a_seed_breaks_that_is_clean_with_it(workshop: Workshop, guard: Guard) -> None:
    """I1, I2, I3, I4, I5, I7, I10 and I11: the seven guards of the issue, and some more."""
    proof = guard.proof
    assert isinstance(proof, BySeeds)
    with workshop.without(guard):
        violations = workshop.violations(proof.seeds)
    broken = {violation["invariant"] for violation in violations}
    assert broken & proof.invariants, f"nobody missed it: {violations or 'no seed broke'}"
    [seed] = {violation["seed"] for violation in violations}
    assert unbroken(workshop, Seeds(first=seed, count=1))


@named(raced.GUARDS)
def test_without_its_guard_a_race_on_postgresql_is_lost(
    workshop: Workshop, guard: Guard, database_url: str
) -> None:
    """I1, I3, I5 and I7 inside a transaction, or held by a constraint alone."""
    assert_its_test_fails(workshop, guard, RUNNER_TEST_DATABASE_URL=database_url)


@named(tested.GUARDS)
def test_without_its_guard_a_test_fails(workshop: Workshop, guard: Guard) -> None:
    """I3, I4, I5 and I10, and the sameness of two replays."""
    assert_its_test_fails(workshop, guard)


def test_a_guard_that_is_not_where_the_table_says_is_told(workshop: Workshop) -> None:
    moved = Guard(
        name="moved",
        changes=(Change(file="core/risk.py", old="no such text", new=""),),
        proof=ByTest(test="tests/core"),
    )
    with pytest.raises(GuardMoved, match="update the table"), workshop.without(moved):
        pass


def assert_its_test_fails(workshop: Workshop, guard: Guard, **environment: str) -> None:
    proof = guard.proof
    assert isinstance(proof, ByTest)
    with workshop.without(guard):
        printed = workshop.tested(proof.test, **environment)
    assert printed is not None, f"nobody missed it: {proof.test} passes"
    failed = re.findall(r"^FAILED (\S+)", printed, flags=re.MULTILINE)
    assert [test for test in failed if test.startswith(proof.test)], printed
