"""Market time stopped at the end of a drill, where nothing waits for it to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Final

from bin.drill.stage import set_rate
from core.errors import RunnerError
from core.timeframe import Timeframe
from schema import evidence

STANDS_MAX: Final = 5
STAND_S: Final = 12.0
"""How long one place is tried: what is under way ends sooner where it does not wait for market time."""
PASS_TIMEOUT_S: Final = 90.0
LOOK_S: Final = 0.05
_CLEAR: Final = timedelta(seconds=9)
"""Behind a boundary: far from the next, and not waiting for this one."""


def stand_still(
    dsn: str,
    connection: evidence.Connection,
    *groups: Mapping[str, str],
    speed: float,
    wait: Callable[[float], None] = sleep,
) -> bool:
    """Whether market time stands where all that is due is decided and these promises hold; it stands at the end anyway.

    What waits for market time itself, as an order for evidence that it was never placed, would never end where it
    stands: from there it goes on, at `speed`, to the next place. `wait` passes seconds of process time.
    Raises RunnerError where market time does not go on.
    """
    for stand in range(STANDS_MAX):
        if stand:
            set_rate(dsn, speed)
        pass_by(connection, Timeframe.M1.next_close(evidence.market_now(connection)) + _CLEAR, wait)
        set_rate(dsn, 0.0)
        deadline_s = monotonic() + STAND_S
        while monotonic() < deadline_s:
            if not evidence.broken(connection, evidence.DECIDED, *groups):
                return True
            wait(LOOK_S)
    return False


def pass_by(
    connection: evidence.Connection, instant: datetime, wait: Callable[[float], None] = sleep
) -> None:
    """Until market time is past `instant`. Raises RunnerError where it does not get there."""
    deadline_s = monotonic() + PASS_TIMEOUT_S
    while evidence.market_now(connection) <= instant:
        if monotonic() > deadline_s:
            raise RunnerError("Market time stands still.")
        wait(LOOK_S)
