"""When a run ticks next, as the page and the API say it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from core.run import ExecutionMode, RunStatus
from facade.views import next_slot
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
