"""What a service's runs are made of is not walked by the garbage collector again and again."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.interpreter import MANY, SWITCH_S, THRESHOLDS, Interpreter
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore


@pytest.fixture
def interpreter() -> Iterator[Interpreter]:
    interpreter = Interpreter()
    interpreter.begin()
    yield interpreter
    interpreter.end()


def test_a_service_sets_its_runs_aside_once_they_have_loaded_and_lets_go_of_them_at_its_end(
    tmp_path: Path,
) -> None:
    thresholds, switch_s = gc.get_threshold(), sys.getswitchinterval()
    assert gc.get_freeze_count() == 0
    day = DemoDay(WitnessedStore(WallClock(), LIMITS), tmp_path)
    day.service.start()
    try:
        day.pass_minutes(2)  # ticks have run, so rows have been read
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == THRESHOLDS
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    finally:
        assert day.service.stop()
    assert gc.get_freeze_count() == 0
    assert (gc.get_threshold(), sys.getswitchinterval()) == (thresholds, switch_s)


def test_the_first_runs_are_set_aside_however_few_and_later_ones_once_they_are_many(
    interpreter: Interpreter,
) -> None:
    interpreter.loaded(0)
    first = gc.get_freeze_count()
    assert first > 0
    later = [[each] for each in range(100)]
    interpreter.loaded(MANY - 1)
    assert gc.get_freeze_count() <= first  # what has gone meanwhile is counted no more
    interpreter.loaded(1)
    assert gc.get_freeze_count() > first
    assert len(later) == 100


def test_a_cycle_among_what_was_set_aside_is_found_after_the_end(interpreter: Interpreter) -> None:
    one, two = Node(), Node()
    one.other, two.other = two, one
    last = weakref.ref(one)
    interpreter.loaded(1)
    del one, two
    gc.collect()
    assert last() is not None
    interpreter.end()
    gc.collect()
    assert last() is None


class Node:
    other: Node
