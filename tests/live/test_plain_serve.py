"""Plain `serve`: production's clock, candles from a venue over HTTP, a tick asked for by an operator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunStatus
from core.timeframe import Timeframe, to_ms
from facade import tokens
from schema.embedded import EmbeddedPostgres
from schema.evidence import ALWAYS, broken, witness
from schema.pg import PgStore
from schema.records import Account
from tests.live.process import Serving, until
from tests.live.venue import price, rising_venue

pytestmark = pytest.mark.live

SECRET = "a-secret-of-the-tests-with-enough-bytes"
PERIOD = 20
ENTRY_DEADLINE = timedelta(seconds=30)


def test_plain_serve_follows_the_venue_and_ticks_on_its_closed_candles(
    data_dir: Path, serve: Callable[..., Serving]
) -> None:
    """I9 and I10 with the real clock: the candle still forming is not seen, and a late entry is refused."""
    with rising_venue() as venue:
        serving = serve(
            data_dir,
            BINANCE_BASE_URL=venue.url,
            ENABLE_STRATEGY_RUNNER="true",
            JWT_SECRET=SECRET,
            WORKER_ID="plain",
        ).ready()
        dsn = EmbeddedPostgres(data_dir / "postgres").service_dsn
        run = hourly_run()
        store = PgStore(dsn, default_limits=RiskLimits(), worker="test")
        assert run.account_id is not None
        account = Account(id=run.account_id, user_id=run.user_id, name="paper")
        store.create_together(strategy=run.strategy, account=account, run=run)
        until(lambda: any("interval=1h" in path for path in venue.asked), "MarketData loads the run's window")

        now = datetime.now(UTC)
        headers = {"Authorization": f"Bearer {token(now)}"}
        serving.client.cookies.clear()
        answer = serving.client.post(
            "/api/runner/execute-tick", headers=headers, json={"strategyRunId": str(run.id)}
        )
        assert answer.status_code == 200, answer.text

        (tick,) = until(lambda: store.ticks(run_id=run.id), "a tick row")
        assert tick.slot in {Timeframe.H1.floor(now), Timeframe.H1.floor(datetime.now(UTC))}
        assert tick.signal == "long"
        if tick.finished_at > tick.slot + ENTRY_DEADLINE:
            assert (tick.status, tick.reason) == ("blocked", "late_entry")
        with witness(dsn) as connection:
            (seen,) = connection.execute("SELECT slot, indicators, price FROM strategy_executions").fetchall()
            assert seen[0] == tick.slot
            closes = [price(to_ms(tick.slot) - n * Timeframe.H1.ms - 60_000) for n in range(PERIOD)]
            assert seen[1]["sma"] == pytest.approx(sum(closes) / PERIOD)
            assert seen[2] == pytest.approx(closes[0], abs=0.1)  # in the symbol's ticks
            assert broken(connection, ALWAYS) == {}
        store.close()
        assert serving.stop() == 0
    assert "Traceback" not in serving.said


def hourly_run() -> Run:
    strategy = StrategyDefinition(
        id=StrategyId(UUID(int=1)),
        owner_id=UserId("alice"),
        name="Trend",
        template="sma_trend",
        parameters={"period": PERIOD},
        symbol="BTCUSDT",
        timeframe=Timeframe.H1,
    )
    return Run(
        id=RunId(UUID(int=2)),
        user_id=UserId("alice"),
        strategy=strategy,
        account_id=AccountId(UUID(int=3)),
        status=RunStatus.ACTIVE,
    )


def token(now: datetime) -> str:
    return tokens.issue(
        secret=SECRET,
        user_id="operator",
        admin=True,
        now=now,
        ttl=timedelta(minutes=5),
        audience=None,
        issuer=None,
    )
