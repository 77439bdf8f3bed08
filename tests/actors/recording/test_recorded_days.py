"""A day recorded from real threads is replayed to the same orders, events, risk states and tick rows.

The day: five runs of four users, pauses, a kill switch, a venue that cannot be reached, an actor that crashes, asks by
cron and operator, a simulated loss.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from actors.recording.day import Day, Verdict
from actors.recording.entries import TurnEntry
from actors.recording.recording import Recording, find_recording
from bin.commands.replay_words import words
from schema.pg import PgStore
from tests.actors.candles import START
from tests.actors.recording.demo_day import LIMITS, DemoDay
from tests.schema.conftest import Database

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("core", "exchanges", "schema", "actors", "facade", "bin")


def replayed(folder: Path) -> Verdict:
    return Day(Recording(folder)).play()


def assert_identical(verdict: Verdict) -> None:
    assert verdict.difference is None, words(verdict)
    assert verdict.identical
    assert verdict.recorded_hashes == verdict.replayed_hashes is not None


def test_a_recorded_day_replays_to_identical_orders_events_risk_states_and_ticks(
    played: DemoDay, recorded: Path
) -> None:
    assert not [fields for action, fields in played.reports if action.startswith("recording")]
    verdict = replayed(recorded)
    assert_identical(verdict)
    assert verdict.ticks > 50
    assert len(played.store.trades()) > 5, "a day without trades shows nothing"
    statuses = {(tick.status.value, tick.reason) for tick in played.store.ticks(limit=10_000)}
    assert {("blocked", "kill_switch"), ("missed", "not_active")} <= statuses
    restarts = [each for each in Recording(recorded).entries() if isinstance(each, TurnEntry) and each.error]
    assert "Gone" in {each.type for each in restarts}


def test_a_day_on_postgresql_replays_to_the_same_on_the_store_in_memory(
    database: Database, tmp_path: Path
) -> None:
    store = PgStore(database.service_dsn, default_limits=LIMITS, worker="node")
    try:
        day = DemoDay(store, tmp_path)
        day.play()
        assert len(store.trades()) > 5
    finally:
        store.close()
    assert_identical(replayed(find_recording(tmp_path)))


def test_a_replay_may_stop_at_a_market_time(recorded: Path) -> None:
    middle = START.replace(minute=5)
    verdict = Day(Recording(recorded)).play(until=middle)
    assert verdict.identical
    assert verdict.recorded_hashes is None
    assert verdict.ended <= middle
    assert 0 < verdict.entries < Recording(recorded).count


@pytest.mark.parametrize(
    ("file", "line", "changed", "replayed_as"),
    [
        pytest.param(
            "core/risk.py",
            "if day.trades >= limits.max_trades_per_day:",
            "if day.trades >= 1:",
            "max_trades",
            id="a gate of the day's trades",
        ),
        pytest.param(
            "core/strategies/sma_trend.py",
            "if price > sma:",
            "if price > sma * 1.5:",
            None,
            id="when a strategy goes long",
        ),
    ],
)
def test_a_rule_changed_by_one_line_is_the_first_difference_with_slot_run_and_inputs(
    recorded: Path, tmp_path: Path, file: str, line: str, changed: str, replayed_as: str | None
) -> None:
    for source in SOURCES:
        shutil.copytree(ROOT / source, tmp_path / source, ignore=shutil.ignore_patterns("__pycache__"))
    text = (tmp_path / file).read_text()
    assert text.count(line) == 1
    (tmp_path / file).write_text(text.replace(line, changed))
    shown = subprocess.run(
        [sys.executable, "-m", "bin.commands", "replay", str(recorded), "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 1, shown.stderr
    difference = msgspec.json.decode(shown.stdout)["difference"]
    assert difference["recorded"] != difference["replayed"]
    assert difference["slot"].startswith("2026-03-10T12:")
    assert difference["run_id"].startswith("00000000-0000-0000-0000-")
    assert difference["strategy"].startswith("sma_trend ")
    assert {"evaluation", "risk now", "position", "candles fetched last"} <= difference["inputs"].keys()
    evaluation = difference["inputs"]["evaluation"]
    assert evaluation["slot"] == difference["slot"], "what this slot was decided on, not the one before"
    assert replayed_as is None or replayed_as in shown.stdout.decode()
    said = words(msgspec.json.decode(shown.stdout, type=Verdict))
    for each in (
        "First difference, at 2026-03-10 12:",
        "slot",
        "run ",
        "recorded",
        "replayed",
        "Decided on:",
    ):
        assert each in said
