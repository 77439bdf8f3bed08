"""What a demo does when its candles end: stop with --once, else start over at a later market time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from actors.demo import demo_of
from core.risk import RiskLimits
from exchanges.feeds.files import FolderCandles
from schema.embedded import EmbeddedPostgres
from schema.evidence import ALWAYS, broken, market_now, number, witness
from schema.pg import PgStore
from tests.live.candle_folder import candle_folder
from tests.live.evidence import database_of
from tests.live.process import Serving, until

pytestmark = pytest.mark.live

LEFT = timedelta(minutes=6)
FAST = ("--demo", "--speed", "3600")
ENDED = "The candles have ended"


def test_at_the_end_of_its_candles_the_demo_stops_or_starts_over_with_fresh_portfolios(
    data_dir: Path, serve: Callable[..., Serving]
) -> None:
    """Decision 33. One directory throughout: each start resumes where the one before ended."""
    candles = candle_folder(data_dir / "candles", span=timedelta(days=1, hours=5))
    demo = demo_of(FolderCandles(candles))
    arguments = (*FAST, "--data", str(candles))
    first = serve(data_dir, *arguments).ready()
    with witness(database_of(data_dir)) as connection:
        until(lambda: number(connection, "SELECT count(*) FROM fills") > 0, "the first trades")
    assert first.stop() == 0
    move_to(data_dir, demo.end_of(0) - LEFT)

    for _ in range(2):  # the second finds the end it starts at
        once = serve(data_dir, *arguments, "--once")
        assert once.ended(40.0) == 0
        assert ENDED in once.said
        assert "Traceback" not in once.said

    again = serve(data_dir, *arguments).ready()
    until(lambda: f"{ENDED}; the demo starts over" in again.said, "it starts over")
    with witness(database_of(data_dir)) as connection:
        second_round = demo.start_of(1)
        ticks = "SELECT count(*) FROM strategy_tick_runs WHERE slot > %s"
        until(lambda: number(connection, ticks, second_round) > 20, "ticks in the second round")
        assert market_now(connection) > second_round
        assert again.ready().client.get("/").status_code == 200
        unarchived = "SELECT count(*) FROM strategy_runs WHERE created_at < %s AND status <> 'archived'"
        assert number(connection, unarchived, second_round) == 0
        archived = number(
            connection, "SELECT count(*) FROM strategy_runs WHERE created_at < %s", second_round
        )
        fresh = number(connection, "SELECT count(*) FROM strategy_runs WHERE created_at >= %s", second_round)
        assert fresh == archived > 5
        left = """SELECT count(*) FROM positions p JOIN strategy_runs r ON r.id = p.run_id
                   WHERE r.status = 'archived' AND p.quantity <> 0"""
        assert number(connection, left) == 0
        assert broken(connection, ALWAYS) == {}
    assert again.stop() == 0


def move_to(data_dir: Path, at: datetime) -> None:
    """Forward a demo that nobody plays."""
    (database,) = (data_dir / "demo").glob("*/postgres")
    with EmbeddedPostgres(database) as server:
        store = PgStore(server.service_dsn, default_limits=RiskLimits(), worker="test")
        store.set_clock(at=at, ceiling=at)
        store.close()
