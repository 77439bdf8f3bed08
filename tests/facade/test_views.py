"""When a run ticks next, as the page and the API say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from core.run import ExecutionMode, RunStatus
from facade.views import next_slot, run_shown
from tests.core.tick_cases import run

NOW = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "schedule", "expected"),
    [
        (RunStatus.ACTIVE, None, NOW.replace(minute=1, second=0)),
        (RunStatus.ACTIVE, "*/15 * * * *", NOW.replace(minute=15, second=0)),
        (RunStatus.ACTIVE, "0 6 * * *", datetime(2026, 3, 11, 6, tzinfo=UTC)),
        (RunStatus.PAUSED, "*/15 * * * *", None),
    ],
)
def test_the_next_slot_is_the_next_the_schedule_fires_at(
    status: RunStatus, schedule: str | None, expected: datetime | None
) -> None:
    mode = ExecutionMode.AUTO if schedule is None else ExecutionMode.SCHEDULED
    shown = replace(run(), status=status, execution_mode=mode, schedule=schedule)
    assert next_slot(shown, NOW) == expected


def test_a_run_that_has_to_hear_trades_first_says_when_it_can_answer() -> None:
    strategy = replace(
        run().strategy, template="squeezeflow", venue="bybit", parameters={"min_data_points": 50}
    )
    waiting = replace(run(), strategy=strategy, status=RunStatus.ACTIVE, activated_at=NOW)
    answer = NOW + timedelta(hours=28, minutes=1)
    assert run_shown(waiting, NOW).first_answer_at == answer
    for shown in (
        run_shown(waiting, answer),
        run_shown(replace(waiting, status=RunStatus.PAUSED), NOW),
        run_shown(replace(waiting, strategy=replace(strategy, venue="binance")), NOW),
        run_shown(replace(waiting, strategy=replace(run().strategy, venue="bybit")), NOW),
    ):
        assert shown.first_answer_at is None
