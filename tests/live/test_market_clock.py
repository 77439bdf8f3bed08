"""Market time between two looks at the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from msgspec.structs import replace

from actors.market_clock import MarketClock
from schema.records import ClockSettings

ANCHOR = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
PROCESS = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
DEMO = ClockSettings(
    demo=True, anchor_market=ANCHOR, anchor_process=PROCESS, rate=60.0, ceiling=None, database_now=PROCESS
)
LIVE = replace(DEMO, demo=False)
SECOND = timedelta(seconds=1)


def clock(settings: ClockSettings, elapsed_s: float) -> MarketClock:
    """A clock sampled `elapsed_s` ago."""
    readings = iter([100.0])
    return MarketClock(settings, lambda: next(readings, 100.0 + elapsed_s))


@pytest.mark.parametrize(
    ("settings", "elapsed_s", "now"),
    [
        (LIVE, 0.0, PROCESS),
        (LIVE, 2.5, PROCESS + 2.5 * SECOND),
        (replace(LIVE, rate=60.0, ceiling=ANCHOR), 2.0, PROCESS + 2 * SECOND),
        (DEMO, 0.0, ANCHOR),
        (DEMO, 2.0, ANCHOR + 120 * SECOND),
        (replace(DEMO, database_now=PROCESS + 3 * SECOND), 2.0, ANCHOR + 300 * SECOND),
        (replace(DEMO, rate=0.0), 50.0, ANCHOR),
        (replace(DEMO, ceiling=ANCHOR + 60 * SECOND), 0.5, ANCHOR + 30 * SECOND),
        (replace(DEMO, ceiling=ANCHOR + 60 * SECOND), 50.0, ANCHOR + 60 * SECOND),
    ],
)
def test_now(settings: ClockSettings, elapsed_s: float, now: datetime) -> None:
    assert clock(settings, elapsed_s).now() == now


@pytest.mark.parametrize(
    ("settings", "ahead_s", "seconds"),
    [
        (LIVE, 90.0, 90.0),
        (DEMO, 90.0, 1.5),
        (DEMO, 0.0, 0.0),
        (DEMO, -90.0, 0.0),
        (replace(DEMO, rate=0.0), 90.0, inf),
        (replace(DEMO, rate=0.0), -1.0, 0.0),
        (replace(DEMO, ceiling=ANCHOR + 60 * SECOND), 60.0, 1.0),
        (replace(DEMO, ceiling=ANCHOR + 60 * SECOND), 60.1, inf),
        (replace(DEMO, ceiling=ANCHOR), 0.0, 0.0),
    ],
)
def test_seconds_until(settings: ClockSettings, ahead_s: float, seconds: float) -> None:
    """Never where time stands: a timer set then waits for the settings to change."""
    measured = clock(settings, 0.0)
    assert measured.seconds_until(measured.now() + ahead_s * SECOND) == pytest.approx(seconds)


def test_an_update_is_in_force_at_once() -> None:
    changing = clock(DEMO, 2.0)
    changing.update(replace(DEMO, rate=0.0, anchor_market=ANCHOR + 7 * SECOND))
    assert changing.now() == ANCHOR + 7 * SECOND
