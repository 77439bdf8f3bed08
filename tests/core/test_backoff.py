from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.backoff import Backoff, RestartWindow

MINUTE = 60.0
DAY = 86_400.0


@pytest.mark.parametrize(
    ("attempt", "min_s", "max_s", "delay_s"),
    [
        (0, 0.0, 0.0, 0.0),
        (0, 5 * MINUTE, 7 * MINUTE, 5 * MINUTE),
        (2, 5.0, 7.0, 7.0),
        (2, 5.0, 7 * DAY, 20.0),
        (29, 5 * MINUTE, 10 * MINUTE, 10 * MINUTE),
        (2_147_483_647, 10_000 * DAY, 10_000 * DAY, 10_000 * DAY),
    ],
)
def test_s08_backoff_arithmetic(attempt: int, min_s: float, max_s: float, delay_s: float) -> None:
    assert Backoff(min_s=min_s, max_s=max_s).delay_s(attempt, jitter=0.0) == delay_s


@given(
    attempt=st.integers(0, 10_000),
    min_s=st.floats(0, 1e6),
    extra_s=st.floats(0, 1e6),
    factor=st.floats(0, 3),
    jitter=st.floats(0, 1, exclude_max=True),
)
def test_s08_a_delay_stays_between_its_bounds(
    attempt: int, min_s: float, extra_s: float, factor: float, jitter: float
) -> None:
    backoff = Backoff(min_s=min_s, max_s=min_s + extra_s, random_factor=factor)
    delay_s = backoff.delay_s(attempt, jitter)
    assert min_s <= delay_s <= backoff.max_s * (1 + factor)
    assert backoff.delay_s(attempt + 1, jitter) >= delay_s


def test_s09_quiet_time_is_the_mean_of_the_bounds_unless_given() -> None:
    assert Backoff(min_s=1.0, max_s=10.0).quiet_s == 5.5
    assert Backoff(min_s=1.0, max_s=10.0, reset_after_s=3.0).quiet_s == 3.0


@given(
    gaps=st.lists(st.floats(0, 30), max_size=60),
    max_restarts=st.integers(0, 8),
    window_s=st.floats(1, 100),
)
def test_a_restart_is_one_too_many_when_the_window_already_holds_the_limit(
    gaps: list[float], max_restarts: int, window_s: float
) -> None:
    window = RestartWindow()
    now = 0.0
    earlier: list[float] = []
    for gap in gaps:
        now += gap
        in_window = sum(1 for at in earlier if now - at < window_s)
        window, exceeded = window.restarted(now, max_restarts=max_restarts, window_s=window_s)
        assert exceeded == (in_window >= max_restarts)
        assert len(window.times) <= max_restarts + 1
        earlier.append(now)
