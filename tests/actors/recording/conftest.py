"""One recorded day for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.recording.recording import find_recording
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> DemoDay:
    day = DemoDay(WitnessedStore(WallClock(), LIMITS), tmp_path_factory.mktemp("recordings"))
    day.play()
    return day


@pytest.fixture(scope="session")
def recorded(played: DemoDay) -> Path:
    """The folder of its recording."""
    return find_recording(played.directory)
