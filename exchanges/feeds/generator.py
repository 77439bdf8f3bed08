"""A seeded market: one-minute candles that look like a perpetual's, its spot market's, and those of either at another
venue, and are nobody's.

Each UTC day is drawn from (seed, symbol, day) alone and bridged to a daily path drawn from (seed, symbol), so
any range of candles is the same however it is cut. Daily: falling, calm, rising and wild regimes, pulled back
towards the symbol's usual price. Within the day: clustered volatility, fat tails, volume that follows it, and
taker buying that leans with the candle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import numpy as np

from core.candles import COLUMNS, CandleColumns, FloatArray, aggregate, empty
from core.connection import Venue
from core.market import Market
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import Coverage, FundingRate, NoCandles, Stretch

FIRST_DAY: Final = datetime(2015, 1, 1, tzinfo=UTC)
DAYS: Final = 365 * 60
MAX_CANDLES: Final = 5_000_000
_MINUTES: Final = 1440
_HOURS: Final = 24
_DAY_MS: Final = 86_400_000
_FIRST_MS: Final = to_ms(FIRST_DAY)

_REGIME_LENGTH_DAYS: Final = 4.0
# Daily drift and volatility of log prices: falling, calm, rising, wild.
_DRIFTS: Final = np.array([-0.010, 0.0, 0.011, 0.0])
_VOLATILITIES: Final = np.array([0.030, 0.015, 0.026, 0.055])
_PULL: Final = 0.01
_SPOT_PREMIUM: Final = 0.0004
_SPOT_VOLUME: Final = 0.35
"""Of the perpetual's."""
_VENUE_PREMIUM: Final = 0.0003
"""How far a venue's prices usually lie from those of the market beside them, either way."""
_TAIL_FREEDOM: Final = 4


class _Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Usual price and minute volume (base units) of a symbol, and the digits both are quoted with."""

    price: float
    price_digits: int
    volume: float
    volume_digits: int


_SHAPES: Final = {
    "BTCUSDT": _Shape(price=60_000, price_digits=1, volume=80, volume_digits=3),
    "ETHUSDT": _Shape(price=3_000, price_digits=2, volume=1_200, volume_digits=3),
    "SOLUSDT": _Shape(price=150, price_digits=2, volume=12_000, volume_digits=2),
    "AVAXUSDT": _Shape(price=25, price_digits=3, volume=20_000, volume_digits=0),
    "LTCUSDT": _Shape(price=85, price_digits=2, volume=2_500, volume_digits=3),
    "XRPUSDT": _Shape(price=1.5, price_digits=4, volume=400_000, volume_digits=1),
    "LINKUSDT": _Shape(price=15, price_digits=3, volume=20_000, volume_digits=2),
    "BNBUSDT": _Shape(price=600, price_digits=2, volume=300, volume_digits=2),
}
_ANY_SHAPE: Final = _Shape(price=10, price_digits=4, volume=20_000, volume_digits=0)


class GeneratedMarket:
    """A candle source without a market behind it, and saying so."""

    VENUE: Final = "generator"

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] = tuple(_SHAPES),
        *,
        market: Market = Market.PERP,
        venue: str = VENUE,
    ) -> None:
        """Spot follows the perpetual's prices closely, and so do other venues; what is bought and sold there is drawn
        anew.
        """
        self.venue = venue
        self._market = market
        self.origin = f"generated (seed {seed})"
        self._seed = seed
        self._symbols = tuple(symbols)
        self._daily: dict[str, tuple[FloatArray, FloatArray]] = {}

    def symbols(self) -> tuple[str, ...]:
        return tuple(sorted(self._symbols))

    def market(self, symbol: str) -> Market:
        self._known(symbol)
        return self._market

    def in_market(self, market: Market) -> GeneratedMarket:
        return self._beside(market, self.venue)

    def in_venue(self, venue: str) -> GeneratedMarket | None:
        if venue != self.VENUE and venue not in list(Venue):
            return None
        return self._beside(self._market, venue)

    def _beside(self, market: Market, venue: str) -> GeneratedMarket:
        """Its prices follow the same daily paths, drawn once."""
        beside = GeneratedMarket(self._seed, self._symbols, market=market, venue=venue)
        beside._daily = self._daily
        return beside

    def coverage(self, symbol: str, timeframe: Timeframe) -> Coverage | None:
        if symbol not in self._symbols:
            return None
        whole = Stretch(start=FIRST_DAY, end=FIRST_DAY + timedelta(days=DAYS))
        return Coverage(candles=DAYS * _DAY_MS // timeframe.ms, stretches=(whole,))

    def candles(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        """Candles of [start, end], whole days of minutes cut to it; at most MAX_CANDLES minutes at once."""
        self._known(symbol)
        start_ms, end_ms = max(to_ms(start), _FIRST_MS), min(to_ms(end), _FIRST_MS + DAYS * _DAY_MS)
        if end_ms - start_ms < timeframe.ms:
            return empty()
        first, last = (start_ms - _FIRST_MS) // _DAY_MS, (end_ms - 1 - _FIRST_MS) // _DAY_MS
        if (last - first + 1) * _MINUTES > MAX_CANDLES:
            raise NoCandles(f"The generator makes at most {MAX_CANDLES:,} one-minute candles at once.")
        minutes = self._days(symbol, int(first), int(last) + 1)
        days = range(int(first), int(last) + 1)
        if self._market is Market.SPOT:
            minutes = self._spot(symbol, minutes, days)
        if self.venue != self.VENUE:
            minutes = self._elsewhere(symbol, minutes, days)
        return aggregate(minutes, Timeframe.M1, timeframe).between(start_ms, end_ms - timeframe.ms + 1)

    def funding(self, symbol: str) -> tuple[FundingRate, ...]:
        """No series: a made-up rate would be one more thing that looks real."""
        return ()

    def _known(self, symbol: str) -> None:
        if symbol not in self._symbols:
            raise NoCandles(f"There are no candles of {symbol}; there are {', '.join(self.symbols())}.")

    def _days(self, symbol: str, first: int, stop: int) -> CandleColumns:
        shape = _SHAPES.get(symbol, _ANY_SHAPE)
        path, volatility = self._daily_path(symbol)
        days = range(first, stop)
        draws = [_Draws(self._random(symbol, day)) for day in days]
        level = volatility[first:stop, None] / np.sqrt(_MINUTES) * np.array([draw.levels for draw in draws])
        steps = level * np.array([draw.steps for draw in draws])
        # The bridge: minutes are shifted so that the day ends where the daily path says.
        wanted = path[first + 1 : stop + 1] - path[first:stop]
        steps += ((wanted - steps.sum(axis=1)) / _MINUTES)[:, None]
        closes = path[first:stop, None] + np.cumsum(steps, axis=1)
        # Exactly: a day's first open is the same whether or not the day before is drawn with it.
        closes[:, -1] = path[first + 1 : stop + 1]
        log_close = closes.ravel()
        log_open = np.concatenate(([path[first]], log_close[:-1]))
        flat_level = level.ravel()
        reach = np.array([draw.reach for draw in draws]).transpose(1, 0, 2).reshape(2, -1) * flat_level * 0.6
        data = np.empty((len(COLUMNS), len(log_close)))
        data[0] = _FIRST_MS + first * _DAY_MS + np.arange(len(log_close)) * 60_000.0
        data[1] = np.exp(log_open)
        data[2] = np.exp(np.maximum(log_open, log_close) + reach[0])
        data[3] = np.exp(np.minimum(log_open, log_close) - reach[1])
        data[4] = np.exp(log_close)
        smallest = 10.0**-shape.price_digits
        data[1:5] = np.maximum(np.round(data[1:5] * shape.price, shape.price_digits), smallest)
        moved = np.abs(log_close - log_open) / flat_level
        liveliness = flat_level / (_VOLATILITIES[1] / np.sqrt(_MINUTES))
        noise = np.array([draw.volume for draw in draws]).ravel()
        data[5] = np.round(shape.volume * liveliness * (0.5 + moved) * noise, shape.volume_digits)
        lean = np.tanh((log_close - log_open) / (2 * flat_level))
        share = np.clip(
            0.5 + 0.22 * lean + 0.06 * np.array([draw.lean for draw in draws]).ravel(), 0.02, 0.98
        )
        data[6] = np.minimum(np.round(data[5] * share, shape.volume_digits), data[5])
        return CandleColumns(data)

    def _elsewhere(self, symbol: str, beside: CandleColumns, days: range) -> CandleColumns:
        """The market at this venue: its distance from the one beside it moves from hour to hour."""
        shape = _SHAPES.get(symbol, _ANY_SHAPE)
        draws = [self._random(f"{symbol}/{self._market}/{self.venue}", day) for day in days]
        data = np.array(beside.data)
        smallest = 10.0**-shape.price_digits
        premium = _VENUE_PREMIUM * np.concatenate([_drift(random) for random in draws])
        data[1:5] = np.maximum(np.round(data[1:5] * (1 + premium), shape.price_digits), smallest)
        noise = np.concatenate([random.gamma(2.0, 0.5, _MINUTES) for random in draws])
        share = np.divide(data[6], data[5], out=np.full_like(noise, 0.5), where=data[5] > 0)
        data[5] = np.round(data[5] * noise, shape.volume_digits)
        data[6] = np.minimum(np.round(data[5] * share, shape.volume_digits), data[5])
        return CandleColumns(data)

    def _spot(self, symbol: str, perpetual: CandleColumns, days: range) -> CandleColumns:
        shape = _SHAPES.get(symbol, _ANY_SHAPE)
        draws = [self._random(f"{symbol}/spot", day) for day in days]
        data = np.array(perpetual.data)
        smallest = 10.0**-shape.price_digits
        data[1:5] = np.maximum(np.round(data[1:5] * (1 + _SPOT_PREMIUM), shape.price_digits), smallest)
        noise = np.concatenate([random.gamma(2.0, 0.5, _MINUTES) for random in draws])
        # Whole days of own leaning, so that spot and perpetual flow part for hours and come together again.
        lean = np.concatenate([_drift(random) for random in draws])
        share = np.divide(data[6], data[5], out=np.full_like(lean, 0.5), where=data[5] > 0)
        data[5] = np.round(data[5] * _SPOT_VOLUME * noise, shape.volume_digits)
        share = np.clip(0.5 + 0.6 * (share - 0.5) + 0.1 * lean, 0.02, 0.98)
        data[6] = np.minimum(np.round(data[5] * share, shape.volume_digits), data[5])
        return CandleColumns(data)

    def _daily_path(self, symbol: str) -> tuple[FloatArray, FloatArray]:
        """Log of price over usual price at each midnight (DAYS + 1), and each day's volatility; kept."""
        if symbol not in self._daily:
            random = self._random(symbol, -1)
            moves, changes = random.standard_normal(DAYS), random.random(DAYS)
            regimes = random.integers(0, len(_DRIFTS), DAYS)
            path, volatility = np.zeros(DAYS + 1), np.empty(DAYS)
            regime, price = int(regimes[0]), 0.0
            for day in range(DAYS):
                if changes[day] < 1 / _REGIME_LENGTH_DAYS:
                    regime = int(regimes[day])
                volatility[day] = _VOLATILITIES[regime]
                price += float(_DRIFTS[regime] - _PULL * price + volatility[day] * moves[day])
                path[day + 1] = price
            self._daily[symbol] = (path, volatility)
        return self._daily[symbol]

    def _random(self, symbol: str, day: int) -> np.random.Generator:
        """A stream of its own per seed, symbol and day; a hash keeps neighbours unrelated."""
        digest = hashlib.sha256(f"{self._seed}/{symbol}/{day}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def _drift(random: np.random.Generator) -> FloatArray:
    """A day's leaning by the minute, moving from hour to hour."""
    hours = random.standard_normal(_HOURS + 1)
    drift: FloatArray = np.interp(np.arange(_MINUTES) / 60, np.arange(_HOURS + 1), hours)
    return drift


class _Draws:
    """All random numbers of one day, in a fixed order."""

    __slots__ = ("lean", "levels", "reach", "steps", "volume")

    def __init__(self, random: np.random.Generator) -> None:
        # Volatility moves from hour to hour and settles back; days begin and end at their usual level.
        hours = np.zeros(_HOURS + 1)
        hours[1:-1] = 0.45 * random.standard_normal(_HOURS - 1)
        self.levels = np.exp(np.interp(np.arange(_MINUTES) / 60, np.arange(_HOURS + 1), hours))
        tails = random.standard_t(_TAIL_FREEDOM, _MINUTES)
        self.steps = tails / np.sqrt(_TAIL_FREEDOM / (_TAIL_FREEDOM - 2))
        self.reach = random.exponential(1.0, (2, _MINUTES))
        self.volume = random.gamma(2.0, 0.5, _MINUTES)
        self.lean = random.standard_normal(_MINUTES)
