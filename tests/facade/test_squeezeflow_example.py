"""examples/squeezeflow.json is a body that deploys as it stands, and what it deploys trades in a backtest."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from actors.backtest import BacktestRequest, run_backtest
from core.run import RunSettings
from core.timeframe import Timeframe
from exchanges.feeds.generator import GeneratedMarket
from tests.facade.world import as_user

BODY: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[2] / "examples" / "squeezeflow.json").read_text()
)


def test_it_deploys_on_paper_as_it_stands(client: TestClient) -> None:
    answer = client.post("/api/strategies/deploy", json=BODY, headers=as_user("alice"))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["status"], made["run"]["leverage"], made["tradingMode"]) == ("active", 5, "paper")


def test_what_it_deploys_trades_in_a_backtest() -> None:
    start = datetime(2026, 2, 1, tzinfo=UTC)
    request = BacktestRequest(
        template=BODY["strategyTemplate"],
        symbol=BODY["symbol"],
        timeframe=Timeframe(BODY["timeframe"]),
        parameters=BODY["strategyParams"],
        start=start,
        end=start + timedelta(days=3),
        settings=RunSettings(
            leverage=BODY["leverage"],
            order_size_pct=Decimal(BODY["orderSizePct"]),
            stop_loss_pct=Decimal(BODY["stopLossPct"]),
        ),
        limits=None,
    )
    result = run_backtest(request, GeneratedMarket(5))
    assert result.trades
    assert all(signal.action != "hold" for signal in result.signals)
