"""One-minute candles: read from archive files, or walked from a seed; and where the price is within a candle.

Files are the venue archive's CSV: gzip or not, header or not, milliseconds or microseconds, 12 columns or OHLCV.
Within a candle the price stands at the open, at one extreme, at the other and at the close, a quarter of the
minute each (the nearer extreme first by the candle's direction), so that it moves between closes and everybody
who reads the tape knows how.
"""

from __future__ import annotations

import gzip
import random
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import msgspec

MINUTE_MS = 60_000
SMALLEST_TICK = Decimal("0.00000001")
QUARTER_MS = 15_000
QUARTERS = 4
_MICROSECONDS_FROM = 10**14
_WALK_HISTORY_MINUTES = 3 * 24 * 60
_SYMBOL = re.compile(r"([A-Z0-9]{2,16}USDT)")
_HALF = Decimal("0.5")


class TapeError(Exception):
    """A file that is no candle tape; the sentence names it."""


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One minute. `path`: the price in each quarter."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    taker_volume: Decimal
    trades: int

    @property
    def path(self) -> tuple[Decimal, Decimal, Decimal, Decimal]:
        if self.close >= self.open:
            return (self.open, self.low, self.high, self.close)
        return (self.open, self.high, self.low, self.close)


class Tape(Protocol):
    @property
    def first_ms(self) -> int:
        """Open time of the first candle."""
        ...

    @property
    def last_ms(self) -> int | None:
        """Open time of the last candle; None: it goes on."""
        ...

    def candle(self, open_ms: int) -> Candle:
        """The candle of that minute. Where the tape has none the price stands: a flat one without volume."""
        ...


class FileTape:
    """Candles of files, kept as text and read as numbers where they are looked at."""

    def __init__(self, rows: Sequence[tuple[int, str]], tick: Decimal) -> None:
        self._opens = array("q", (open_ms for open_ms, _ in rows))
        self._rows = [text for _, text in rows]
        self._tick = tick
        self.candle = lru_cache(maxsize=4096)(self._candle)

    @property
    def first_ms(self) -> int:
        return self._opens[0]

    @property
    def last_ms(self) -> int:
        return self._opens[-1]

    def _candle(self, open_ms: int) -> Candle:
        at = bisect_right(self._opens, open_ms) - 1
        if at < 0:
            return flat(open_ms, self._read(0).open)
        candle = self._read(at)
        return candle if candle.open_ms == open_ms else flat(open_ms, candle.close)

    def _read(self, at: int) -> Candle:
        cells = self._rows[at].split(",")
        volume = Decimal(cells[5])
        is_archive = len(cells) >= 11
        return Candle(
            open_ms=self._opens[at],
            open=on_grid(cells[1], self._tick),
            high=on_grid(cells[2], self._tick),
            low=on_grid(cells[3], self._tick),
            close=on_grid(cells[4], self._tick),
            volume=volume,
            taker_volume=Decimal(cells[9]) if is_archive else volume * _HALF,
            trades=int(float(cells[8])) if is_archive else 1,
        )


class WalkTape:
    """A seeded random walk that begins three days before `start_ms`, so that clients find history, and never ends."""

    def __init__(self, *, seed: int, symbol: str, start_ms: int, price: Decimal, tick: Decimal) -> None:
        self.first_ms = start_ms // MINUTE_MS * MINUTE_MS - _WALK_HISTORY_MINUTES * MINUTE_MS
        self.last_ms = None
        self._random = random.Random(f"{seed}:{symbol}")  # noqa: S311 a repeatable market, not a secret
        self._tick = tick
        self._price = float(price)
        self._candles: list[Candle] = []

    def candle(self, open_ms: int) -> Candle:
        at = (open_ms - self.first_ms) // MINUTE_MS
        if at < 0:
            return flat(open_ms, self.candle(self.first_ms).open)
        while len(self._candles) <= at:
            self._candles.append(self._next())
        return self._candles[at]

    def _next(self) -> Candle:
        draw = self._random
        opened = self._price
        closed = opened * (1 + draw.gauss(0, 0.0006))
        high = max(opened, closed) * (1 + abs(draw.gauss(0, 0.0003)))
        low = min(opened, closed) * (1 - abs(draw.gauss(0, 0.0003)))
        self._price = closed
        volume = Decimal(f"{draw.uniform(20, 400) * 1000 / opened:.3f}")
        return Candle(
            open_ms=self.first_ms + len(self._candles) * MINUTE_MS,
            open=on_grid(opened, self._tick),
            high=on_grid(high, self._tick),
            low=on_grid(low, self._tick),
            close=on_grid(closed, self._tick),
            volume=volume,
            taker_volume=(volume * Decimal(f"{draw.uniform(0.3, 0.7):.4f}")).quantize(Decimal("0.001")),
            trades=draw.randrange(50, 2000),
        )


def read_tapes(files: Iterable[Path], tick_of: dict[str, Decimal] | None = None) -> dict[str, FileTape]:
    """Tapes by symbol, the symbol being in the file's name. Raises TapeError."""
    rows: dict[str, list[tuple[int, str]]] = {}
    for path in files:
        rows.setdefault(symbol_of(path), []).extend(_rows(path))
    tapes = {}
    for symbol, found in rows.items():
        found.sort()
        _check(symbol, found)
        tapes[symbol] = FileTape(found, (tick_of or {}).get(symbol, SMALLEST_TICK))
    return tapes


def symbol_of(path: Path) -> str:
    """Raises TapeError."""
    named = _SYMBOL.search(path.name)
    if named is None:
        raise TapeError(f"{path.name}: the name holds no symbol such as BTCUSDT.")
    return named[1]


def in_milliseconds(stamp: int) -> int:
    return stamp // 1000 if stamp >= _MICROSECONDS_FROM else stamp


def _rows(path: Path) -> list[tuple[int, str]]:
    try:
        body = path.read_bytes()
        text = (gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body).decode("ascii")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TapeError(f"{path.name}: cannot be read ({error}).") from error
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or (number == 1 and not line[0].isdigit()):
            continue
        first, _, rest = line.partition(",")
        if not first.isdigit() or rest.count(",") < 4:
            raise TapeError(f"{path.name}, line {number}: not a candle.")
        rows.append((in_milliseconds(int(first)), line))
    if not rows:
        raise TapeError(f"{path.name}: holds no candles.")
    return rows


def _check(symbol: str, rows: list[tuple[int, str]]) -> None:
    for (earlier, _), (later, _) in pairwise(rows):
        if later == earlier:
            raise TapeError(f"{symbol}: two candles open at {later}.")
        if later % MINUTE_MS or earlier % MINUTE_MS:
            raise TapeError(f"{symbol}: a candle opens within a minute, at {later}.")
    if len(rows) > 1 and min(b - a for (a, _), (b, _) in pairwise(rows)) != MINUTE_MS:
        raise TapeError(f"{symbol}: the tape is not of one-minute candles.")


def on_grid(value: str | float, tick: Decimal) -> Decimal:
    """The nearest price of the grid."""
    return (Decimal(value) / tick).quantize(Decimal(1)) * tick


def flat(open_ms: int, price: Decimal) -> Candle:
    """A minute without a trade."""
    zero = Decimal(0)
    return Candle(
        open_ms=open_ms, open=price, high=price, low=price, close=price,
        volume=zero, taker_volume=zero, trades=0,
    )  # fmt: skip
