"""Backtests over HTTP: in a process of their own, and the same as the command line's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from bin.commands.main import main
from core.candles import CandleColumns
from schema.pg import PgStore
from tests.facade.work.conftest import SERIES, some_candles
from tests.facade.world import as_user

ALICE = as_user("alice")
ASKED = {
    "symbol": "BTCUSDT",
    "timeframe": "5m",
    "strategyTemplate": "rsi_oversold_overbought",
    "strategyParams": {"rsi_period": 7},
    "stopLossPct": "1.5",
    "takeProfitPct": "3",
    "leverage": 2,
    "slippagePct": "0.01",
    "from": "2026-02-03T00:00:00Z",
}
COMMAND = [
    *(
        "backtest",
        "--template",
        "rsi_oversold_overbought",
        "--symbol",
        "BTCUSDT",
        "--timeframe",
        "5m",
        "--json",
    ),
    *("--param", "rsi_period=7", "--stop-loss-pct", "1.5", "--take-profit-pct", "3", "--leverage", "2"),
    *("--slippage-pct", "0.01", "--from", "2026-02-03"),
]


def ended(http: TestClient, id_: str, **headers: str) -> Any:
    answer = http.get(f"/api/backtests/{id_}?waitSec=10", headers=ALICE | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def candle_file(columns: CandleColumns, path: Path) -> None:
    lines = [
        f"{candle.open_time_ms},{candle.open!r},{candle.high!r},{candle.low!r},{candle.close!r},{candle.volume!r}"
        for candle in columns
    ]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))


def test_a_backtest_over_http_comes_to_what_the_command_line_comes_to(
    http: TestClient, store: PgStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = some_candles()
    store.market.store(SERIES, columns)
    candle_file(columns, tmp_path / "BTCUSDT-5m-2026-02.csv.gz")
    main([*COMMAND, "--candles", str(tmp_path / "BTCUSDT-5m-2026-02.csv.gz")])
    command = json.loads(capsys.readouterr().out)

    started = http.post("/api/backtests", json=ASKED, headers=ALICE)
    assert started.status_code == 202, started.text
    id_ = started.json()["id"]
    told = ended(http, id_)
    assert told["backtest"]["job"]["state"] == "done", told
    assert len(command["trades"]) > 10

    theirs, ours = command["replayed"], told["replayed"]
    assert {k: v for k, v in ours.items() if k != "origin"} == {
        k: v for k, v in theirs.items() if k != "origin"
    }
    assert told["backtest"]["summary"] == command["summary"]
    assert (told["candles"], told["openPosition"]) == (command["candles"], command["openPosition"])
    assert told["ticks"] == command["ticks"]
    trades, cursor = [], ""
    while cursor is not None:
        page = http.get(f"/api/backtests/{id_}/trades?limit=7{cursor}", headers=ALICE).json()
        trades += page["trades"]
        cursor = f"&cursor={page['nextCursor']}" if page["nextCursor"] else None
    assert trades == command["trades"]

    points = http.get(f"/api/backtests/{id_}/equity", headers=ALICE).json()["points"]
    assert points[-1]["equityUsdt"] == pytest.approx(float(command["summary"]["finalEquity"]))
    chart = http.get(f"/api/backtests/{id_}/chart", headers=ALICE).json()
    assert chart["timeframe"] == "10m", "5m candles are more than a page shows well"
    assert {len(chart[name]) for name in ("times", "open", "high", "low", "close")} == {len(chart["times"])}
    assert 0 < len(chart["times"]) <= 2_500
    report = http.get(f"/api/backtests/{id_}/report", headers=ALICE)
    assert report.headers["content-type"].startswith("text/html")
    policy = report.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-scripts" in policy
    assert "connect-src" not in policy
    assert report.headers["cache-control"] == "no-store"
    assert "rsi_oversold_overbought on BTCUSDT 5m" in report.text


def test_a_backtest_goes_live_with_the_same_settings_on_paper(http: TestClient, store: PgStore) -> None:
    store.market.store(SERIES, some_candles())
    id_ = http.post("/api/backtests", json=ASKED | {"feePct": "0.06"}, headers=ALICE).json()["id"]
    assert ended(http, id_)["backtest"]["job"]["state"] == "done"
    live = http.post(f"/api/backtests/{id_}/go-live", json={}, headers=ALICE)
    assert live.status_code == 201, live.text
    made = live.json()
    run = made["run"]
    assert (run["status"], run["tradingMode"], run["leverage"]) == ("draft", "paper", 2)
    assert (run["stopLossPct"], run["takeProfitPct"]) == ("1.5", "3")
    assert made["strategy"]["params"] == {**made["strategy"]["params"], "rsi_period": 7}
    account = store.account(run["accountId"])
    assert account is not None
    assert (str(account.taker_fee_pct), str(account.slippage_pct)) == ("0.06", "0.01")


def test_what_cannot_be_replayed_fails_with_its_sentence(http: TestClient) -> None:
    id_ = http.post("/api/backtests", json=ASKED, headers=ALICE).json()["id"]
    job = ended(http, id_)["backtest"]["job"]
    assert job["state"] == "failed"
    assert "There are no candles of BTCUSDT stored for 5m at binance" in job["error"]
    for part in ("equity", "trades", "report"):
        assert http.get(f"/api/backtests/{id_}/{part}", headers=ALICE).status_code == 409
