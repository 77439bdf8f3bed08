"""Actors beside those that trade leave nothing in a recording: a day with all of them replays as one without."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from actors.feed import HeldFeed
from actors.launch import alert_watch, config_keeper, flattener, notifier
from actors.recording.day import Day
from actors.recording.recording import Recording, find_recording
from actors.system import Options, Parts
from bin.commands.replay_words import words
from core.ids import NodeId, UserId
from core.live_settings import LiveSettings
from core.notice import Notice
from schema.notices import NoticeSettings
from schema.ops import SimulateTrade
from schema.pg import PgStore
from tests.actors.candles import START
from tests.actors.recording.demo_day import LIMITS, DemoDay, candles
from tests.facade.world import make_settings
from tests.schema.conftest import Database


def test_notices_alerts_and_settings_are_no_part_of_a_recorded_day(
    database: Database, tmp_path: Path
) -> None:
    store = PgStore(database.service_dsn, default_limits=LIMITS, worker="node")
    settings = make_settings()
    live = LiveSettings(settings)
    options = Options(node=NodeId("node"), version="1", worker="node")
    parts = Parts(store=store, feed=HeldFeed(candles(), (START, START)), rules={}, options=options)
    more = [
        notifier(settings, store, None),
        alert_watch(live, store),
        config_keeper(live, store),
        flattener(store, parts),
    ]
    # Something to say and nowhere to say it: tries, failures and waits, of which no tick knows.
    wanted = frozenset({Notice.PAUSE})
    store.notices.put(NoticeSettings(user_id=UserId("eve"), webhook_url="https://127.0.0.1/", wanted=wanted))
    try:
        day = DemoDay(store, tmp_path, more=more)
        store.settle([SimulateTrade(user_id=UserId("eve"), delta=Decimal(-50_000_000))])
        day.let_run(6)
        assert not [fields for action, fields in day.reports if action.startswith("recording")]
        verdict = Day(Recording(find_recording(tmp_path))).play()
        assert verdict.difference is None, words(verdict)
        assert verdict.identical
        assert verdict.ticks > 20
    finally:
        store.close()
