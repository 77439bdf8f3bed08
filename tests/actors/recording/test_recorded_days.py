"""A day recorded from real threads is replayed to the same orders, events, risk states and tick rows."""

from __future__ import annotations

from pathlib import Path

from actors.recording.day import Day
from actors.recording.recording import Recording, find_recording
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore


def test_a_recorded_day_replays_to_identical_orders_events_risk_states_and_ticks(tmp_path: Path) -> None:
    day = DemoDay(WitnessedStore(WallClock(), LIMITS), tmp_path)
    day.play()
    assert not [fields for action, fields in day.reports if action.startswith("recording")]
    assert len(day.store.trades()) > 5, "a day without trades shows nothing"
    verdict = Day(Recording(find_recording(tmp_path))).play()
    assert verdict.difference is None
    assert verdict.identical
    assert verdict.recorded_hashes == verdict.replayed_hashes is not None
    assert verdict.ticks > 100
