"""When an author is warned: near the time limit often, and where a repeated evaluation answers differently."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.signal import Action, Signal
from core.strategy_warning import AMONG, NEAR, OFTEN, Share, TimeLimitWatch, difference

NEARLY, QUICK = 1_600.0, 1_599.0


@pytest.mark.parametrize(
    ("used_ms", "warned"),
    [
        ([NEARLY] * 2, False),
        ([NEARLY] * 3, True),
        ([NEARLY, QUICK, NEARLY, QUICK, NEARLY], True),
        ([NEARLY, NEARLY, NEARLY, QUICK], False),
        ([NEARLY, NEARLY] + [QUICK] * 8 + [NEARLY], False),
        ([QUICK] * 20, False),
    ],
    ids=["twice", "three times", "now and then", "not now", "long ago", "never"],
)
def test_three_of_the_last_ten_near_the_limit_are_a_warning(used_ms: list[float], warned: bool) -> None:
    watch = TimeLimitWatch()
    assert [watch.took(each, 2_000.0) for each in used_ms][-1] is warned
    assert (NEAR, OFTEN, AMONG) == (0.8, 3, 10)


@given(st.integers(0, 100), st.integers(1, 400))
def test_the_first_evaluation_is_repeated_and_then_so_many_of_a_hundred(pct: int, count: int) -> None:
    share = Share()
    due = [share.next(pct) for _ in range(count)]
    assert due[0]
    assert sum(due) == 1 + (count - 1) * pct // 100


LONG = Signal(action=Action.LONG, price=Decimal("1.5"), indicators={"a": 1.0}, metadata={"at": 1})


@pytest.mark.parametrize(
    ("again", "told"),
    [
        (LONG, {}),
        (replace(LONG, metadata={"at": 2}), {}),
        (
            replace(LONG, indicators={"a": 2.0}),
            {"first": {"indicators": {"a": 1.0}}, "second": {"indicators": {"a": 2.0}}},
        ),
        (
            replace(LONG, action=Action.SHORT, price=None),
            {"first": {"action": "long", "price": "1.5"}, "second": {"action": "short", "price": None}},
        ),
    ],
    ids=["alike", "another remark", "another indicator", "another decision"],
)
def test_what_two_answers_differ_in_is_told(again: Signal, told: object) -> None:
    assert difference(LONG, again) == told


def test_of_an_answer_that_failed_its_sentence_is_told() -> None:
    told = difference(LONG, "Line 2: KeyError: 'x'")
    assert told["second"] == {"error": "Line 2: KeyError: 'x'"}
    assert told["first"]["action"] == "long"
