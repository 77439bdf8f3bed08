"""Who sends more orders than anybody who is well is halted (invariants §7, decision 25)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from core.breaker import RUN_MOST, WINDOW, Trailing, process_most

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_orders_count_for_a_minute() -> None:
    trailing = Trailing()
    for second in range(RUN_MOST):
        trailing.add(NOW + timedelta(seconds=second))
    assert trailing.count(NOW + WINDOW - timedelta(milliseconds=1)) == RUN_MOST
    assert trailing.count(NOW + WINDOW) == RUN_MOST - 1
    assert trailing.count(NOW + WINDOW + timedelta(seconds=RUN_MOST)) == 0


def test_what_was_never_placed_does_not_count() -> None:
    trailing = Trailing()
    trailing.add(NOW)
    trailing.add(NOW)
    trailing.take_back()
    assert trailing.count(NOW) == 1
    trailing.take_back()
    trailing.take_back()
    assert trailing.count(NOW) == 0


@pytest.mark.parametrize(
    ("expected", "most"), [(0, 100), (9.9, 100), (10, 100), (10.1, 101), (2_000, 20_000)]
)
def test_a_process_may_send_ten_times_what_is_expected_and_always_a_hundred(
    expected: float, most: int
) -> None:
    assert process_most(expected) == most
