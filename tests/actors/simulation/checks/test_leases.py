"""Slots and leases: what the check accepts, and each way to break it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from actors.simulation.checks.leases import LeaseCheck
from schema.records import TickStatus
from tests.actors.simulation.checks.parts import OTHER, RUN, SLOT, Bench, claim, row

STEP = timedelta(minutes=5)


def check(bench: Bench) -> LeaseCheck:
    return LeaseCheck(bench.findings, bench.clock, {RUN: STEP, OTHER: STEP})


def test_slots_claimed_one_after_the_other_and_released_break_nothing() -> None:
    bench = Bench()
    leases = check(bench)
    for number in range(3):
        leases.claimed(SLOT + STEP * number, 120.0, [claim(number + 1)])
        assert leases.holds(RUN, number + 1)
        leases.released(RUN, number + 1)
        assert not leases.holds(RUN, number + 1)
        bench.wait(300)
    leases.stored(row())
    assert bench.broken == []


def test_a_lease_that_ran_out_may_be_taken_and_is_held_no_more() -> None:
    bench = Bench()
    leases = check(bench)
    leases.acquired(RUN, 1, 120.0)
    bench.wait(120)
    assert not leases.holds(RUN, 1)
    leases.acquired(RUN, 2, 120.0)
    leases.released(RUN, 1)
    assert leases.holds(RUN, 2)
    assert bench.broken == []


def claimed_twice(bench: Bench, leases: LeaseCheck) -> None:
    leases.claimed(SLOT, 120.0, [claim(1)])
    leases.released(RUN, 1)
    leases.claimed(SLOT, 120.0, [claim(2)])


def older_slot(bench: Bench, leases: LeaseCheck) -> None:
    leases.claimed(SLOT, 1.0, [claim(1)])
    bench.wait(2)
    leases.claimed(SLOT - STEP / 2, 1.0, [claim(2)])


def late(bench: Bench, leases: LeaseCheck) -> None:
    bench.wait(300)
    leases.claimed(SLOT, 120.0, [claim(1)])


def early(bench: Bench, leases: LeaseCheck) -> None:
    leases.claimed(SLOT + timedelta(seconds=5.001), 120.0, [claim(1)])


def stolen(bench: Bench, leases: LeaseCheck) -> None:
    leases.acquired(RUN, 1, 120.0)
    bench.wait(119.999)
    leases.acquired(RUN, 2, 120.0)


def fence_again(bench: Bench, leases: LeaseCheck) -> None:
    leases.acquired(RUN, 1, 120.0)
    leases.acquired(OTHER, 1, 120.0)


def row_again(bench: Bench, leases: LeaseCheck) -> None:
    leases.stored(row())
    leases.stored(row(TickStatus.ERROR))


def missed_with_a_signal(bench: Bench, leases: LeaseCheck) -> None:
    leases.stored(row(TickStatus.MISSED, "long"))


@pytest.mark.parametrize(
    ("invariant", "breaking"),
    [
        ("I1", claimed_twice),
        ("I1", older_slot),
        ("I9", late),
        ("I9", early),
        ("I5", stolen),
        ("I6", fence_again),
        ("I1", row_again),
        ("I9", missed_with_a_signal),
    ],
)
def test_i1_i5_i6_i9_each_break_is_named(
    invariant: str, breaking: Callable[[Bench, LeaseCheck], None]
) -> None:
    bench = Bench()
    breaking(bench, check(bench))
    assert bench.broken == [invariant]
