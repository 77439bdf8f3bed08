"""The benchmarks run whole at a small size and print the documented keys; what they measure is not judged here."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from bin.commands import bench_gateway_path
from bin.commands.bench_gateway import AMPLE, simulated_venue
from bin.commands.bench_gateway_pace import Pace
from bin.commands.main import main
from core.candles import CandleColumns
from core.timeframe import Timeframe
from exchanges.feeds.generator import FIRST_DAY, GeneratedMarket
from tests.schema.conftest import Database


def measured(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["bench", *arguments, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_a_slot_of_many_runs_is_evaluated_once_per_strategy_and_one_in_a_hundred_trades(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """I20: as many evaluations as strategies, whatever the number of runs."""
    told = measured(
        capsys, "fanout", "--runs", "200", "--strategies", "4", "--database", database.service_dsn
    )
    assert (told["runs"], told["strategies"], told["evaluations"]) == (200, 4, 4)
    assert (told["orders"], told["outcomes"]) == (2, {"hold ok": 198, "long ok": 2})
    assert 0 < told["decidedMs"] < told["durableMs"]
    assert 0 < told["firstOrderMs"] < told["durableMs"]
    assert told["kbPerRun"] > 0
    # The database holds runs now, and is not measured on again.
    again = ["bench", "fanout", "--runs", "100", "--strategies", "2", "--database", database.service_dsn]
    assert main(again) == 1
    assert "must be empty" in capsys.readouterr().err


def test_i20_subscribers_of_one_strategy_share_one_evaluation(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    told = measured(
        capsys,
        *("fanout", "--runs", "1000", "--strategies", "1", "--profile", "--database", database.service_dsn),
    )
    assert (told["evaluations"], told["orders"]) == (1, 1000)
    assert told["outcomes"] == {"long ok": 1000}
    names = {call["name"] for call in told["calls"]}
    assert {"claim", "settle", "may_send", "report"} <= names
    assert sum(call["size"] for call in told["calls"] if call["name"] == "claim") == 1000


def test_replay_counts_candles_of_the_actors_and_of_the_bare_loop(capsys: pytest.CaptureFixture[str]) -> None:
    told = measured(capsys, "replay", "--count", "3000")
    assert told["candles"] == 3000
    assert told["fastPerSecond"] > told["actorsPerSecond"]
    assert told["actorsPerSecond"] > 0
    assert told["limitPerSecond"] > 0
    assert sum(told["ticks"].values()) == 3000
    assert told["limitTrades"] >= told["trades"] > 0


def test_replay_takes_a_candle_file_and_refuses_one_with_holes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hour = Timeframe.M1.delta * 600
    columns = GeneratedMarket(3).candles("BTCUSDT", Timeframe.M1, FIRST_DAY, FIRST_DAY + hour)
    file = tmp_path / "candles.csv"
    write(file, columns)
    assert measured(capsys, "replay", "--candles", str(file))["candles"] == 600
    write(file, CandleColumns.joined([columns.part(0, 100), columns.part(101, 600)]))
    assert main(["bench", "replay", "--candles", str(file)]) == 1
    assert capsys.readouterr().err == "candles.csv has holes; the benchmark compares candle by candle.\n"


def write(file: Path, columns: CandleColumns) -> None:
    rows = [(c.open_time_ms, c.open, c.high, c.low, c.close, c.volume) for c in columns]
    file.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))


def test_the_runtime_leaves_no_ask_hanging(capsys: pytest.CaptureFixture[str]) -> None:
    told = measured(
        capsys, *("runtime", "--actors", "1000", "--asks", "1000", "--runs", "100", "--rounds", "1")
    )
    assert (told["actors"], told["racedAsks"], told["hungAsks"]) == (1000, 1_000, 0)
    assert set(told["stopRatios"]) == {"oldest", "newest", "random"}
    assert told["slowVenueRuns"] == 100
    assert told["slowVenueP99Ratio"] > 0
    assert {"kbPerActor", "askP50Us", "queueRoundTripUs", "rsiTickRatioToLoop", "threadingActorRatio"} <= set(
        told
    )


def test_orders_are_counted_for_every_client_and_klines_for_every_way_to_read_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = measured(capsys, "gateway", "--orders", "32", "--rounds", "1")
    clients = {"ours", "httpx"} | {name for name in ("aiohttp", "ccxt") if importlib.util.find_spec(name)}
    for in_flight in ("inFlight1", "inFlight32"):
        assert set(told[in_flight]) == clients
        assert all(figure["p50Us"] > 0 and figure["perSecond"] > 0 for figure in told[in_flight].values())
    assert set(told["klines"]) == {"decoded", "candles", "closedOnly", "library"}
    assert set(told["trades"]) == {"binance", "bybit"}
    assert all(figure["perSecond"] > 0 for what in ("klines", "trades") for figure in told[what].values())


def test_the_whole_gateway_path_is_measured_to_report_and_rows(database: Database) -> None:
    """Every order of a round is seen at both ends, or the round fails; whoever enters leaves again."""
    with (
        simulated_venue(1) as venue,
        bench_gateway_path.opened(venue.url, AMPLE, 1, database.service_dsn) as path,
    ):
        by_eight, paused = Pace(in_flight=8), Pace(in_flight=1, pause_s=0.001)
        for pace, booked in ((by_eight, True), (by_eight, False), (paused, True)):
            told = asyncio.run(path.round(16, pace, booked=booked))
            assert set(told) - {"storedP50Us", "storedPerSecond"} == {"p50Us", "perSecond", "cpuUs"}
            assert ("storedP50Us" in told) is booked, "what is booked later was kept waiting, not slow"
            assert 0 < told["p50Us"] <= told.get("storedP50Us", told["p50Us"])
            assert told.get("storedPerSecond", 0.0) <= told["perSecond"]
        books = httpx.get(f"{venue.url}/simulator/ledger").json()["accounts"]
        assert sum(len(each["trades"]) for each in books.values()) == 48
        assert not any(Decimal(held["quantity"]) for each in books.values() for held in each["positions"])
