"""A recording of a process that was not the first: others have held its runs' leases, and may have died with them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from actors.recording.day import Day
from actors.recording.recording import Recording, find_recording
from bin.commands.replay_words import words
from core.errors import Reason
from schema.pg import PgStore
from schema.records import Ask, SlotReport, TickRow, TickSource, TickStatus
from schema.store import Store
from tests.actors.candles import START
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore
from tests.schema.conftest import Database

MINUTE = timedelta(minutes=1)
MINUTES = 4
SHORT_S = 0.5
"""A lease that runs out while the recorded process is at work: the first slot waits for it."""


def killed(day: DemoDay) -> None:
    """Another process ticked a while, and was killed when it had claimed START for two runs."""
    store = day.store
    for run_id, before in zip(day.runs, (3, 1), strict=False):
        slot = START - before * MINUTE
        [claim] = store.claim([run_id], slot=slot, owner="dead", ttl_s=30.0)
        row = TickRow(
            run_id=run_id,
            user_id=claim.user_id,
            slot=slot,
            status=TickStatus.OK,
            scheduled_at=slot,
            finished_at=slot,
            fence=claim.fence,
        )
        missed = [
            TickRow(
                run_id=run_id,
                user_id=claim.user_id,
                slot=slot + MINUTE,
                status=TickStatus.MISSED,
                reason="down",
                scheduled_at=slot + MINUTE,
                finished_at=START,
            )
        ]
        store.report(SlotReport(ticks=(row, *missed[: before - 1])))
    ask = Ask(slot=START, source=TickSource.CRON, at=START)
    for run_id, ttl_s in zip(day.runs, (0.0, SHORT_S), strict=False):
        assert store.claim([run_id], slot=START, owner="dead", ttl_s=ttl_s, ask=ask)


def replayed_identically(folder: Path) -> None:
    verdict = Day(Recording(find_recording(folder))).play()
    assert verdict.difference is None, words(verdict)
    assert verdict.recorded_hashes == verdict.replayed_hashes is not None


def assert_cut_off(store: Store, day: DemoDay) -> None:
    """What the killed process had claimed came to the end it should have."""
    closed = [tick for tick in store.ticks(slot=START) if tick.run_id in day.runs[:2]]
    assert len(closed) == 2
    for tick in closed:
        assert (tick.status, tick.reason) == (TickStatus.ERROR, Reason.INTERRUPTED.value)
        assert (tick.source, tick.asked_at, tick.worker) == (TickSource.CRON, START, "dead")


def test_a_recording_begun_right_after_a_kill_replays_to_identical_tick_rows(tmp_path: Path) -> None:
    store = WitnessedStore(WallClock(), LIMITS)
    day = DemoDay(store, tmp_path, outage=0, before=killed)
    day.let_run(MINUTES)
    assert_cut_off(store, day)
    replayed_identically(tmp_path)


def test_on_postgresql_a_recording_begun_right_after_a_kill_replays_identically(
    database: Database, tmp_path: Path
) -> None:
    store = PgStore(database.service_dsn, default_limits=LIMITS, worker="node")
    try:
        day = DemoDay(store, tmp_path, outage=0, before=killed)
        day.let_run(MINUTES)
        assert_cut_off(store, day)
    finally:
        store.close()
    replayed_identically(tmp_path)


@pytest.mark.parametrize("while_recorded", [False, True], ids=["before", "meanwhile"])
def test_fences_another_process_drew_are_taken_over_by_the_replay(
    tmp_path: Path, while_recorded: bool
) -> None:
    """Also where its lease came and went while the day was recorded, so that the run's actor reads its state again."""
    store = WitnessedStore(WallClock(), LIMITS)
    drawn: list[int] = []

    def held_by_another(day: DemoDay) -> None:
        """Not while a tick has it."""
        for run_id in day.runs:
            while (fence := store.acquire(run_id, owner="other", ttl_s=60.0)) is None:
                day.pass_minutes(1)
            drawn.append(fence)
            store.release([(run_id, fence)])

    day = DemoDay(store, tmp_path, outage=0, before=None if while_recorded else held_by_another)
    if while_recorded:
        day.service.start()
        day.pass_minutes(MINUTES // 2)
        held_by_another(day)
        day.pass_minutes(MINUTES // 2)
        assert day.service.stop()
    else:
        day.let_run(MINUTES)
    assert drawn
    replayed_identically(tmp_path)
