"""A FreqTrade strategy that trades the signals of Strategy Runner.

Copy this file to `user_data/strategies/` and add to FreqTrade's configuration:

    "strategy_runner": {
        "redis_url": "redis://127.0.0.1:6379/0",         # dry run and live: needs `pip install redis`
        "key_prefix": "squeezeflow:signal:",
        "signals_file": "user_data/signals.jsonl"        # backtest: one signal a line, as GET /api/signals tells them
    }

A pair's signals are those of its base asset (`BTC/USDT:USDT` → `BTC`). An entry is taken once, within the signal's own
`ttl`; CLOSE ends either side, and an opposite signal does too. Shorts need `"trading_mode": "futures"`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from freqtrade.enums import RunMode
from freqtrade.strategy import IStrategy, timeframe_to_minutes

ENTRIES = {"LONG": "enter_long", "SHORT": "enter_short"}
EXITS = {"LONG": ("exit_short",), "SHORT": ("exit_long",), "CLOSE": ("exit_long", "exit_short")}
REDIS_TIMEOUT_S = 2.0


class StrategyRunnerSignals(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "5m"
    startup_candle_count = 0
    process_only_new_candles = False  # a signal comes when it comes, not with a candle
    use_exit_signal = True
    # The signals say when a position ends; set these to what you can bear when none comes.
    minimal_roi: ClassVar = {"0": 100.0}
    stoploss = -0.10

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.can_short = config.get("trading_mode") == "futures"
        self._told = dict(config.get("strategy_runner", {}))
        self._live = config.get("runmode") in (RunMode.LIVE, RunMode.DRY_RUN)
        self._history = {} if self._live else _history(Path(self._told.get("signals_file", "signals.jsonl")))
        self._redis = _redis(self._told.get("redis_url", "redis://127.0.0.1:6379/0")) if self._live else None
        self._latest: dict[str, dict[str, Any]] = {}
        self._taken: dict[str, str] = {}

    def bot_loop_start(self, current_time: datetime, **kwargs: Any) -> None:
        """Reads each pair's signal once a round. Without Redis there is no new entry; positions stay as they are."""
        if self._redis is None:
            return
        bases = sorted({_base(pair) for pair in self.dp.current_whitelist()})
        prefix = self._told.get("key_prefix", "squeezeflow:signal:")
        try:
            found = self._redis.mget([prefix + base for base in bases]) if bases else []
        except Exception as error:
            found = [None] * len(bases)
            self.dp.send_msg(f"Strategy Runner's Redis did not answer ({type(error).__name__})")
        self._latest = {base: json.loads(text) for base, text in zip(bases, found, strict=True) if text}

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        return dataframe

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        for row, signal in self._signals(dataframe, metadata["pair"]):
            column = ENTRIES.get(signal["action"])
            if column is not None and (column == "enter_long" or self.can_short):
                dataframe.loc[row, column] = 1
                dataframe.loc[row, "enter_tag"] = signal["signal_id"]
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        for row, signal in self._signals(dataframe, metadata["pair"]):
            for column in EXITS[signal["action"]]:
                dataframe.loc[row, column] = 1
                dataframe.loc[row, "exit_tag"] = signal["signal_id"]
        return dataframe

    def confirm_trade_entry(self, pair: str, *args: Any, entry_tag: str | None = None, **kwargs: Any) -> bool:
        """A signal is taken once, however long it stands in Redis."""
        entry_tag = entry_tag or (args[5] if len(args) > 5 else None)
        if self._live and self._taken.get(pair) == entry_tag:
            return False
        if entry_tag is not None:
            self._taken[pair] = entry_tag
        return True

    def leverage(self, *args: Any, **kwargs: Any) -> float:
        """What the signal says, within what the exchange allows; 1 where it says nothing."""
        signal = self._by_tag(kwargs.get("pair") or args[0], kwargs.get("entry_tag"))
        return float(min((signal or {}).get("leverage") or 1.0, kwargs.get("max_leverage", 1.0)))

    def custom_stake_amount(self, *args: Any, **kwargs: Any) -> float:
        """The stake FreqTrade proposes, times the signal's size."""
        signal = self._by_tag(kwargs.get("pair") or args[0], kwargs.get("entry_tag"))
        factor = (signal or {}).get("position_size_factor") or 1.0
        return float(min(kwargs["proposed_stake"] * factor, kwargs["max_stake"]))

    def _signals(self, dataframe: pd.DataFrame, pair: str) -> list[tuple[Any, dict[str, Any]]]:
        """Signals and the rows they belong to: the last one live, in a backtest the candle they came in."""
        if dataframe.empty:
            return []
        if self._live:
            signal = self._latest.get(_base(pair))
            alive = signal is not None and datetime.now(UTC) <= _until(signal)
            return [(dataframe.index[-1], signal)] if alive and signal is not None else []
        step = pd.Timedelta(minutes=timeframe_to_minutes(self.timeframe))
        # Told at the close of a candle it is of that candle: FreqTrade acts upon it at the next one's opening.
        rows = {date + step: index for index, date in zip(dataframe.index, dataframe["date"], strict=True)}
        placed = [
            (rows.get(pd.Timestamp(_at(each)).floor(step)), each)
            for each in self._history.get(_base(pair), [])
        ]
        return [(row, each) for row, each in placed if row is not None]

    def _by_tag(self, pair: str, tag: str | None) -> dict[str, Any] | None:
        known = [self._latest.get(_base(pair)), *self._history.get(_base(pair), [])]
        return next((each for each in known if each is not None and each["signal_id"] == tag), None)


def _base(pair: str) -> str:
    return pair.split("/", 1)[0]


def _at(signal: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(signal["timestamp"])


def _until(signal: dict[str, Any]) -> datetime:
    return _at(signal) + timedelta(seconds=signal["ttl"])


def _history(path: Path) -> dict[str, list[dict[str, Any]]]:
    """By base asset, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in path.read_text().splitlines():
        signal = json.loads(line)
        found.setdefault(signal["symbol"], []).append(signal)
    return {base: sorted(signals, key=_at) for base, signals in found.items()}


def _redis(url: str) -> Any:
    import redis  # only where signals are read as they come

    return redis.Redis.from_url(url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S)
