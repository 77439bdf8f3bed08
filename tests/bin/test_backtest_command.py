"""`backtest` on the command line: its JSON, its refusals in one sentence, its sweep over processes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors.backtest import BacktestRequest
from bin.commands.backtest import parse_params, parse_span
from bin.commands.backtest_grid import combinations, parse_axes
from bin.commands.backtest_source import SourceChoice, WrongSymbol
from bin.commands.main import main
from core.candles import CandleColumns
from core.market import Market, Series
from core.parameters import ParameterError
from core.strategies import template
from core.timeframe import Timeframe
from exchanges.feeds.archive import store_columns
from exchanges.feeds.base import NoCandles
from exchanges.feeds.generator import GeneratedMarket

RSI = "rsi_oversold_overbought"
START, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 20
ASKED = ("--template", RSI, "--symbol", "BTCUSDT", "--timeframe", "1h")


def backtest(*arguments: object) -> int:
    return main(["backtest", *ASKED, *(str(argument) for argument in arguments)])


@pytest.fixture(autouse=True)
def _plain_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Risk limits as documented, whatever the developer's shell sets."""
    for name in ("DAILY_MAX_LOSS_USDT", "MAX_TRADES_PER_DAY", "MAX_CONSECUTIVE_LOSSES", "RUNNER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def candles() -> CandleColumns:
    return GeneratedMarket(5).candles("BTCUSDT", Timeframe.H1, START, START + timedelta(days=DAYS))


@pytest.fixture(scope="module")
def candle_file(candles: CandleColumns, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean file named as recorded ones are, alone in its folder."""
    series = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.H1)
    return store_columns(candles, series, tmp_path_factory.mktemp("recorded")).path


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one JSON document on stdout; nothing on stderr, which is no terminal here."""
    shown = capsys.readouterr()
    assert shown.err == ""
    document: dict[str, Any] = json.loads(shown.out)
    return document


def test_json_has_the_contract_keys_and_replays_the_whole_file(
    candle_file: Path, candles: CandleColumns, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest("--candles", candle_file, "--param", "rsi_period=7", "--no-gates", "--json") == 0
    document = told(capsys)
    assert document["candles"] == len(candles)
    assert document["replayed"]["parameters"]["rsi_period"] == 7
    assert document["replayed"]["gates"] is None
    assert {row["action"] for row in document["signals"]} == {"long", "short"}
    for name in ("pnl", "fees", "finalEquity"):
        assert Decimal(document["summary"][name]).is_finite()
    keys = (
        "side",
        "entryTime",
        "entryPrice",
        "exitTime",
        "exitPrice",
        "quantity",
        "fees",
        "pnl",
        "exitReason",
    )
    assert document["trades"]
    assert all(set(keys) <= set(trade) for trade in document["trades"])
    assert all(trade["entryTime"].endswith("Z") for trade in document["trades"])
    assert document["seconds"] > 0


def test_a_folder_of_recorded_candles_gives_the_same_as_its_file(
    candle_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for source in (("--candles", candle_file), ("--data", candle_file.parent)):
        assert backtest(*source, "--json") == 0
        document = told(capsys)
        found.append((document["signals"], document["trades"], document["summary"]))
    assert found[0] == found[1]


def test_the_range_cuts_what_is_replayed(candle_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest("--candles", candle_file, "--from", "2026-01-10", "--to", "2026-01-12", "--json") == 0
    document = told(capsys)
    assert document["candles"] == 48
    assert document["replayed"]["from"] == "2026-01-10T00:00:00Z"
    assert document["replayed"]["to"] == "2026-01-12T00:00:00Z"


def test_paper_settings_reach_the_fills(candle_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("--direction", "long", "--fee-pct", "0", "--stop-loss-pct", "1", "--capital", "500")
    assert backtest("--candles", candle_file, *settings, "--no-gates", "--json") == 0
    document = told(capsys)
    assert document["summary"]["fees"] == "0"
    assert {trade["side"] for trade in document["trades"]} == {"long"}
    assert "stop_loss" in {trade["exitReason"] for trade in document["trades"]}
    assert document["summary"]["startingCapital"] == "500"


def test_a_trailing_stop_ends_trades_for_a_reason_of_its_own(
    candle_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ("--trailing-callback-pct", "0.5", "--trailing-activation-pct", "0.2", "--no-gates")
    assert backtest("--candles", candle_file, *settings, "--json") == 0
    document = told(capsys)
    assert (document["replayed"]["trailingCallbackPct"], document["replayed"]["path"]) == ("0.5", "fast")
    assert "trailing_stop" in {trade["exitReason"] for trade in document["trades"]}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--trailing-callback-pct", "0"),
        ("--trailing-callback-pct", "10.1"),
        ("--trailing-callback-pct", "0.25"),
        ("--trailing-activation-pct", "100"),
        ("--trailing-activation-pct", "1"),
    ],
)
def test_a_trailing_stop_no_venue_takes_is_refused_by_option(
    candle_file: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    assert backtest("--candles", candle_file, option, value) == 2
    assert option in capsys.readouterr().err


def test_limits_come_from_the_settings_and_their_blocks_are_counted(
    candle_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAX_TRADES_PER_DAY", "1")
    assert backtest("--candles", candle_file, "--param", "rsi_period=2", "--json") == 0
    document = told(capsys)
    assert document["replayed"]["gates"]["maxTradesPerDay"] == 1
    assert document["summary"]["blocked"]["max_trades"] > 0


def test_without_candles_it_replays_generated_ones_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest("--to", "2026-01-15", "--from", "2026-01-01", "--report", tmp_path / "out") == 0
    shown = capsys.readouterr()
    assert "generated (seed 1): nobody traded at these prices" in shown.out
    assert "Profit factor" in shown.out
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in shown.out
    assert "Generated candles." in (tmp_path / "out" / "report.html").read_text()


def test_the_generator_replays_ninety_days_unless_told_otherwise() -> None:
    choice = SourceChoice(symbol="BTCUSDT", timeframe=Timeframe.D1)
    coverage = choice.open().coverage("BTCUSDT", Timeframe.D1)
    assert coverage is not None
    assert (coverage.candles, coverage.end) == (90, datetime(2026, 4, 1, tzinfo=UTC))
    early = SourceChoice(symbol="BTCUSDT", timeframe=Timeframe.D1, end=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(NoCandles, match="it begins 2015-01-01"):
        early.open()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--template", "nope"), "There is no template 'nope'"),
        (("--symbol", "FOOUSDT"), "There are no candles of FOOUSDT"),
        (("--symbol", "not a symbol"), "is not a symbol"),
        (("--timeframe", "7m"), "'7m' is not a timeframe"),
        (("--candles", "missing.csv"), "there is no such file"),
        (("--data", "missing"), "There is no folder missing"),
        (("--candles", "{bad}"), "line 3: close is 'x', not a number"),
        (("--candles", "{file}", "--symbol", "ETHUSDT"), "holds candles of BTCUSDT, not of ETHUSDT"),
        (("--candles", "{file}", "--timeframe", "5m"), "There are no 5m candles of BTCUSDT"),
        (("--candles", "{file}", "--from", "2024-01-01", "--to", "2024-02-01"), "lies outside"),
        (("--from", "2026-02-01", "--to", "2026-01-01"), "it must end after it begins"),
        (("--from", "2026-02-01", "--to", "2026-02-01"), "it must end after it begins"),
        (("--from", "yesterday"), "'yesterday' is not a time"),
        (("--param", "rsi_period"), "is not like rsi_period=14"),
        (("--param", "rsi_period=0"), "rsi_period must lie in"),
        (("--param", "depth=3"), "There is no parameter 'depth'"),
        (("--grid", "rsi_period=7,x"), "rsi_period must be a number"),
        (("--grid", "rsi_period="), "is not like rsi_period=7,14,21"),
        (("--grid", "rsi_period=7", "--param", "rsi_period=7"), "rsi_period is given twice"),
        (("--grid", "rsi_oversold=80,90"), "rsi_oversold must be below rsi_overbought"),
        (("--report", "{bad}"), "The report cannot be written to"),
        (("--config", "missing.yaml"), "missing.yaml cannot be read"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_1(
    arguments: tuple[str, ...],
    sentence: str,
    candle_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(
        "open_time,open,high,low,close,volume\n1735689600000,1,2,0.5,1.5,10\n1735693200000,1,2,0.5,x,10\n"
    )
    assert backtest(*(argument.format(bad=bad, file=candle_file) for argument in arguments)) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert sentence in shown.err
    assert len(shown.err.splitlines()) == 1
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--direction", "up"),
        ("--capital", "0"),
        ("--capital", "nan"),
        ("--leverage", "0"),
        ("--order-size-pct", "101"),
        ("--fee-pct", "-1"),
        ("--slippage-pct", "11"),
        ("--stop-loss-pct", "many"),
        ("--candles", "a.csv", "--data", "b"),
        ("--unknown",),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest(*arguments) == 2
    assert capsys.readouterr().out == ""


def test_help_teaches_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert backtest("--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Example: bin/runner backtest --template" in shown


def test_a_sweep_replays_each_combination_as_one_backtest_would_and_sorts_by_pnl(
    candle_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ("--grid", "rsi_period=5,9", "--grid", "rsi_oversold=25,75", "--no-gates")
    assert backtest("--candles", candle_file, *grid, "--json", "--report", tmp_path / "out") == 0
    document = told(capsys)
    pnls = [Decimal(row["summary"]["pnl"]) for row in document["grid"]]
    assert pnls == sorted(pnls, reverse=True)
    assert {row["parameters"]["rsi_period"] for row in document["grid"]} == {5, 9}
    assert document["leftOut"] == 2  # 75 is not below the overbought level of 70
    assert document["seconds"] > 0
    best = document["grid"][0]
    alone = [f"--param={name}={value}" for name, value in best["parameters"].items()]
    assert backtest("--candles", candle_file, *alone, "--no-gates", "--json") == 0
    assert told(capsys)["summary"] == best["summary"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "PnL in USDT by rsi_period and rsi_oversold" in page


def test_a_sweep_over_candles_that_cannot_be_read_ends_with_their_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backtest("--candles", tmp_path / "missing.csv", "--grid", "rsi_period=5,9") == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "missing.csv: there is no such file.\n")


def test_a_grid_of_more_than_ten_thousand_is_refused_before_anything_is_replayed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    periods = ",".join(str(period) for period in range(2, 200))
    levels = ",".join(str(level) for level in range(1, 60))
    assert backtest("--grid", f"rsi_period={periods}", "--grid", f"rsi_oversold={levels}") == 1
    assert "The grid has 11,682 combinations; at most 10,000" in capsys.readouterr().err


def test_values_given_twice_in_a_grid_are_replayed_once() -> None:
    axes = parse_axes(template(RSI).specs, ["rsi_period=7,14,7", "rsi_oversold=30,30.0"], {})
    assert axes == {"rsi_period": (7, 14), "rsi_oversold": (30.0,)}
    request = BacktestRequest(template=RSI, symbol="BTCUSDT", timeframe=Timeframe.H1)
    made, left_out = combinations(request, axes)
    assert [wanted.parameters["rsi_period"] for wanted in made] == [7, 14]
    assert left_out == 0


@pytest.mark.parametrize("name", ["ETHUSDT-5m-2025-03.csv", "binance-spot-ETHUSDT-5m-20250301-20250302.csv"])
def test_a_file_whose_name_says_another_symbol_is_refused_unread(name: str) -> None:
    with pytest.raises(WrongSymbol, match="holds candles of ETHUSDT"):
        SourceChoice(symbol="BTCUSDT", timeframe=Timeframe.M5, files=(Path(name),)).open()


def test_parameters_are_names_with_values() -> None:
    assert parse_params(["rsi_period = 14", "rsi_oversold=25.5"]) == {
        "rsi_period": "14",
        "rsi_oversold": "25.5",
    }
    with pytest.raises(ParameterError, match="given twice"):
        parse_params(["a=1", "a=2"])


def test_either_end_of_the_range_may_be_left_to_the_candles() -> None:
    assert parse_span(None, None) == (None, None)
    assert parse_span("2026-01-01", None) == (START, None)
    assert parse_span(None, "2026-01-01T02:00+02:00") == (None, START)
