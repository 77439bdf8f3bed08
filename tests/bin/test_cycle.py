"""`test-signals` shows what a cycle would tell; `cycle` needs somebody to tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bin.commands.main import main
from core.market import Market, Series
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.archive import store_columns
from exchanges.feeds.base import candles_of
from exchanges.feeds.generator import GeneratedMarket
from tests.actors.test_signal_cycle import a_signal
from tests.exchanges.feeds.test_influx_trades import collected
from tests.exchanges.simulator.running import running


def test_signals_are_shown_from_recorded_candles_for_freqtrades_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = a_signal()
    market = GeneratedMarket(1)
    own = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M5)
    generated = Series(venue=market.venue, market=own.market, symbol=own.symbol, timeframe=own.timeframe)
    columns = candles_of(market, generated, found.slot - 300 * Timeframe.M5.delta, found.slot)
    store_columns(columns, own, tmp_path / "candles")
    config = tmp_path / "freqtrade.json"
    config.write_text('{\n  // ours\n  "exchange": {"pair_whitelist": ["BTC/USDT:USDT", "ETH/USDT:USDT"]}\n}')
    monkeypatch.setenv("FREQTRADE_CONFIG", str(config))
    arguments = ["--template", "rsi_oversold_overbought", "--data", str(tmp_path / "candles")]
    at = ["--at", f"{found.slot:%Y-%m-%dT%H:%M:%S}"]
    assert main(["test-signals", *arguments, *at, "--json"]) == 0
    btc, eth = json.loads(capsys.readouterr().out)["looked"]
    assert found.signal is not None
    assert (btc["symbol"], btc["signal"]["action"]) == ("BTCUSDT", found.signal.action.value)
    assert eth["signal"] is None
    assert "ETHUSDT" in eth["why"]
    assert main(["cycle", *arguments]) == 1
    assert "set REDIS_HOST or INFLUX_URL" in capsys.readouterr().err


def test_a_backtest_replays_trades_in_influxdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        "backtest",
        "--template",
        "sma_trend",
        "--symbol",
        "BTCUSDT",
        "--timeframe",
        "5m",
        "--influx",
        "--json",
    ]
    assert main(asked) == 1
    assert "needs INFLUX_URL and INFLUX_TRADES_DATABASE" in capsys.readouterr().err
    assert main([*asked, "--data", str(tmp_path)]) == 2
    with collected(tmp_path) as url:
        monkeypatch.setenv("INFLUX_URL", url)
        monkeypatch.setenv("INFLUX_TRADES_DATABASE", "significant_trades")
        assert main(asked) == 1
        assert "needs --from and --to" in capsys.readouterr().err
        assert main([*asked, "--from", "2026-01-06T02:00", "--to", "2026-01-06T06:00"]) == 0
    assert json.loads(capsys.readouterr().out)["candles"] > 0


@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_either_venue_is_asked_over_rest_and_spot_where_its_candles_tell_takers(
    venue: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(venue, "--speed", "0") as there:
        monkeypatch.setenv(f"{venue.upper()}_BASE_URL", there.base)
        monkeypatch.setenv("SYMBOL_WHITELIST", "BTCUSDT,ETHUSDT")
        at = ["--at", f"{from_ms(there.now()):%Y-%m-%dT%H:%M:%S}", "--venue", venue, "--json"]
        looked = []
        for template in ("sma_trend", "squeezeflow"):
            assert main(["test-signals", "--template", template, *at]) == 0
            looked += json.loads(capsys.readouterr().out)["looked"]
        monkeypatch.setenv("ENABLE_PARALLEL_PROCESSING", "false")
        assert main(["test-signals", "--template", "sma_trend", *at]) == 0
        assert json.loads(capsys.readouterr().out)["looked"] == looked[:2]
    plain, _, flow, _ = looked
    assert plain["action"] in ("long", "short")
    if venue == "binance":
        assert flow["why"] is None or "candles" not in flow["why"]
    else:
        assert flow["why"] == "There are no spot candles of bybit."
