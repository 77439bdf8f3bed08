"""Closed candles as float64 columns: bounded windows, contiguous views, aggregation.

A view handed out never changes: the buffer only grows behind it, and is replaced, not overwritten, when full.
Market data is float64 here; whoever turns a price into money goes through `Decimal(repr(price))` and the
symbol's tick.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from math import isfinite, nan
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from core.errors import ImpossibleVenueData, RunnerError
from core.timeframe import Timeframe, from_ms, to_us

FloatArray = npt.NDArray[np.float64]

COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume", "taker_buy_volume")
_FIRST_BUFFER: Final = 256


class Candle(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One closed candle. `taker_buy_volume` is NaN where the source has none."""

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    taker_buy_volume: float = nan

    def row(self) -> tuple[float, ...]:
        return (
            self.open_time_ms,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.taker_buy_volume,
        )


class CandleColumns:
    """Candles, oldest first, as one read-only (7, n) float64 array whose rows are the columns."""

    __slots__ = ("data",)

    def __init__(self, data: FloatArray) -> None:
        """`data` must be read-only, or the caller's to give away: it is made read-only here."""
        if data.ndim != 2 or data.shape[0] != len(COLUMNS):
            raise ValueError(f"candle columns have the shape (7, n), not {data.shape}")
        if data.flags.writeable:
            data.flags.writeable = False
        self.data = data

    @classmethod
    def of(cls, candles: Iterable[Candle]) -> CandleColumns:
        rows = [candle.row() for candle in candles]
        return CandleColumns(np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS)).T.copy())

    @classmethod
    def joined(cls, parts: Sequence[CandleColumns]) -> CandleColumns:
        if len(parts) == 1:
            return parts[0]
        return CandleColumns(np.concatenate([empty().data, *(part.data for part in parts)], axis=1))

    def __len__(self) -> int:
        return int(self.data.shape[1])

    def __iter__(self) -> Iterator[Candle]:
        return (self.candle(index) for index in range(len(self)))

    def candle(self, index: int) -> Candle:
        at, open_, high, low, close, volume, taker = self.data[:, index].tolist()
        return Candle(
            open_time_ms=int(at),
            open=open_,
            high=high,
            low=low,
            close=close,
            volume=volume,
            taker_buy_volume=taker,
        )

    def part(self, start: int, stop: int) -> CandleColumns:
        return CandleColumns(self.data[:, start:stop])

    def between(self, start_ms: int, end_ms: int) -> CandleColumns:
        """Candles that open at or after `start_ms` and before `end_ms`."""
        first, last = np.searchsorted(self.open_time, (start_ms, end_ms))
        return self.part(int(first), int(last))

    def first_after(self, at: datetime, timeframe: Timeframe) -> int:
        """The number of the first candle that closes after `at`."""
        return int(self.open_time.searchsorted(to_us(at) / 1_000 - timeframe.ms, side="right"))

    @property
    def open_time(self) -> FloatArray:
        """Epoch milliseconds; whole numbers, exact in float64."""
        column: FloatArray = self.data[0]
        return column

    @property
    def open(self) -> FloatArray:
        column: FloatArray = self.data[1]
        return column

    @property
    def high(self) -> FloatArray:
        column: FloatArray = self.data[2]
        return column

    @property
    def low(self) -> FloatArray:
        column: FloatArray = self.data[3]
        return column

    @property
    def close(self) -> FloatArray:
        column: FloatArray = self.data[4]
        return column

    @property
    def volume(self) -> FloatArray:
        column: FloatArray = self.data[5]
        return column

    @property
    def taker_buy_volume(self) -> FloatArray:
        column: FloatArray = self.data[6]
        return column


class CandleView(CandleColumns):
    """A contiguous stretch of one timeframe whose last candle closes at a slot."""

    __slots__ = ("timeframe",)

    def __init__(self, data: FloatArray, timeframe: Timeframe) -> None:
        # The window vouches for shape and read-only flag; checking again would be paid at every slot.
        self.data = data
        self.timeframe = timeframe

    @property
    def slot(self) -> datetime:
        return from_ms(int(self.data[0, -1]) + self.timeframe.ms)


class NotYet(msgspec.Struct, frozen=True, kw_only=True):
    """The candle closing at the slot has not arrived."""

    last_close: datetime | None


class TooFew(msgspec.Struct, frozen=True, kw_only=True):
    """History holds fewer closed candles than the strategy needs."""

    have: int
    need: int


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Candles are missing inside the window; the first after the hole opens at `resumed_at`."""

    resumed_at: datetime


class Appended(StrEnum):
    """What became of a candle offered to a window."""

    ADDED = "added"
    ADDED_AFTER_GAP = "added_after_gap"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """Another candle with this open time is there and stays: views already handed out showed it."""
    OUT_OF_ORDER = "out_of_order"
    """Older than the newest and not held: whoever back-fills loads the whole range anew."""


class CandleWindow:
    """The newest `capacity` candles of one series, append-only, with every hole remembered.

    The start of the window counts as the start of history until a candle has been evicted, so a loader gives
    it at least the longest lookback where the source has that much.
    """

    def __init__(self, timeframe: Timeframe, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a window holds at least one candle, not {capacity}")
        self.timeframe = timeframe
        self.capacity = capacity
        self._reset(np.empty((len(COLUMNS), min(_FIRST_BUFFER, 2 * capacity))), 0)

    @classmethod
    def over(cls, timeframe: Timeframe, columns: CandleColumns) -> CandleWindow:
        """A window over a whole stored range, for replay."""
        window = cls(timeframe, max(1, len(columns)))
        window.load(columns)
        return window

    def __len__(self) -> int:
        return self._next - self._oldest

    @property
    def last_close(self) -> datetime | None:
        return self._last_close

    @property
    def has_hole(self) -> bool:
        return len(self._run_starts) > 1

    @property
    def columns(self) -> CandleColumns:
        """Everything held, gaps included."""
        return CandleColumns(self._frozen[:, self._oldest - self._base : self._next - self._base])

    def load(self, columns: CandleColumns) -> None:
        """Replaces the content by the newest `capacity` of `columns`; views already handed out stay valid.

        Raises ImpossibleVenueData for candles that cannot be (see `check`).
        """
        check(columns, self.timeframe)
        kept = columns.part(max(0, len(columns) - self.capacity), len(columns))
        self._reset(kept.data, len(kept))
        self._evicted = len(kept) < len(columns)
        if not len(kept):
            return
        times = kept.open_time
        starts = [0, *(np.flatnonzero(np.diff(times) != self.timeframe.ms) + 1).tolist()]
        self._run_starts.extend(starts)
        self._run_opens.extend(int(times[start]) for start in starts)
        self._reached(int(times[-1]))

    def append(self, candle: Candle) -> Appended:
        """Adds a newer candle. Raises ImpossibleVenueData when its numbers cannot be."""
        check_candle(candle, self.timeframe)
        gap = False
        if len(self):
            if candle.open_time_ms <= self._last_open_ms:
                return self._compare(candle)
            gap = candle.open_time_ms != self._last_open_ms + self.timeframe.ms
        if gap or not len(self):
            self._run_starts.append(self._next)
            self._run_opens.append(candle.open_time_ms)
        if self._next - self._base == self._data.shape[1]:
            self._relocate()
        self._data[:, self._next - self._base] = candle.row()
        self._next += 1
        self._reached(candle.open_time_ms)
        if len(self) > self.capacity:
            self._evict()
        return Appended.ADDED_AFTER_GAP if gap else Appended.ADDED

    def view(
        self, slot: datetime, lookback: int, min_candles: int | None = None
    ) -> CandleView | NotYet | TooFew | Gap:
        """The `lookback` candles up to the one closing at `slot`: closed, ascending, unique, gap-free (I10).

        At the start of history the view is shorter, down to `min_candles` (default: `lookback`).
        """
        need = lookback if min_candles is None else min_candles
        if lookback > self.capacity and self._evicted:
            raise RunnerError(f"a window of {self.capacity} candles cannot show {lookback}")
        opened_ms = to_us(slot) // 1000 - self.timeframe.ms
        if not len(self) or opened_ms > self._last_open_ms:
            return NotYet(last_close=self.last_close)
        run = bisect_right(self._run_opens, opened_ms) - 1
        if run < 0:
            return TooFew(have=0, need=need)
        start = self._run_starts[run]
        offset, misaligned = divmod(opened_ms - self._run_opens[run], self.timeframe.ms)
        if misaligned:
            raise RunnerError(f"{slot.isoformat()} is no {self.timeframe} slot")
        index = start + offset
        if run + 1 < len(self._run_starts) and index >= self._run_starts[run + 1]:
            return Gap(resumed_at=from_ms(self._run_opens[run + 1]))
        first = index - lookback + 1
        if first < start:
            if run > 0:
                return Gap(resumed_at=from_ms(self._run_opens[run]))
            if self._evicted or offset + 1 < need:
                return TooFew(have=offset + 1, need=need)
            first = start
        return CandleView(self._frozen[:, first - self._base : index + 1 - self._base], self.timeframe)

    def _reset(self, data: FloatArray, count: int) -> None:
        self._data = data
        self._frozen = data.view()
        self._frozen.flags.writeable = False
        # Candles are numbered from 0 in order of arrival; `_base` is the number of the buffer's first column.
        self._base = 0
        self._oldest = 0
        self._next = count
        # A run is a stretch without a hole: number and open time of its first candle.
        self._run_starts: list[int] = []
        self._run_opens: list[int] = []
        self._last_open_ms = 0
        self._last_close: datetime | None = None
        self._evicted = False

    def _reached(self, open_ms: int) -> None:
        self._last_open_ms = open_ms
        self._last_close = from_ms(open_ms + self.timeframe.ms)

    def _relocate(self) -> None:
        """Moves what is held to a new buffer; the old one lives on under the views that look at it."""
        held = self._frozen[:, self._oldest - self._base :]
        size = min(2 * self.capacity, max(_FIRST_BUFFER, 2 * held.shape[1])) + 1
        self._data = np.empty((len(COLUMNS), size))
        self._data[:, : held.shape[1]] = held
        self._frozen = self._data.view()
        self._frozen.flags.writeable = False
        self._base = self._oldest

    def _evict(self) -> None:
        self._oldest += 1
        self._evicted = True
        if len(self._run_starts) > 1 and self._run_starts[1] == self._oldest:
            del self._run_starts[0], self._run_opens[0]
        else:
            self._run_starts[0] = self._oldest
            self._run_opens[0] += self.timeframe.ms

    def _compare(self, candle: Candle) -> Appended:
        held = self.columns
        at = int(np.searchsorted(held.open_time, candle.open_time_ms))
        if at == len(held) or held.data[0, at] != candle.open_time_ms:
            return Appended.OUT_OF_ORDER
        same = np.array_equal(held.data[:, at], np.array(candle.row()), equal_nan=True)
        return Appended.DUPLICATE if same else Appended.CONFLICT


def empty() -> CandleColumns:
    return CandleColumns(np.empty((len(COLUMNS), 0)))


def check_candle(candle: Candle, timeframe: Timeframe) -> None:
    """Raises ImpossibleVenueData unless the candle could have been traded."""
    low, high = candle.low, candle.high
    taker = candle.taker_buy_volume
    if not (
        candle.open_time_ms >= 0
        and candle.open_time_ms % timeframe.ms == 0
        and 0 < low <= candle.open <= high
        and low <= candle.close <= high
        and isfinite(high)
        and candle.volume >= 0
        and isfinite(candle.volume)
        and (taker != taker or 0 <= taker <= candle.volume)
    ):
        raise ImpossibleVenueData(f"A {timeframe} candle cannot be: {candle}.")


def check(columns: CandleColumns, timeframe: Timeframe) -> None:
    """Raises ImpossibleVenueData naming the first candle that cannot be, or is out of order."""
    index = first_impossible(columns, timeframe)
    if index is not None:
        raise ImpossibleVenueData(f"{timeframe} candle {index} cannot be: {columns.data[:, index].tolist()}.")


def first_impossible(columns: CandleColumns, timeframe: Timeframe) -> int | None:
    """Index of the first candle that could not have been traded or does not come after the one before it."""
    at, open_, high, low, close, volume, taker = columns.data
    with np.errstate(invalid="ignore"):
        good = (at >= 0) & _on_grid(at, timeframe) & (low > 0) & (low <= open_) & (open_ <= high)
        good &= (low <= close) & (close <= high) & np.isfinite(high)
        good &= (volume >= 0) & np.isfinite(volume)
        good &= np.isnan(taker) | ((taker >= 0) & (taker <= volume))
        good[1:] &= at[1:] > at[:-1]
    return None if good.all() else int(np.argmin(good))


def _on_grid(at: FloatArray, timeframe: Timeframe) -> npt.NDArray[np.bool_]:
    """Which open times lie on a boundary. Without a hole the first tells for all: a remainder costs most of a check."""
    stretch = at[:1] if bool((at[1:] - at[:-1] == timeframe.ms).all()) else at
    on_grid: npt.NDArray[np.bool_] = stretch % timeframe.ms == 0
    return on_grid


def aggregate(columns: CandleColumns, source: Timeframe, target: Timeframe) -> CandleColumns:
    """`target` candles built from whole `source` ones; a candle with one part missing is left out."""
    if source is target:
        return columns
    if not source.divides(target):
        raise RunnerError(f"{target} candles cannot be built from {source} ones.")
    if not len(columns):
        return columns
    opens = columns.open_time - columns.open_time % target.ms
    starts = np.concatenate(([0], np.flatnonzero(np.diff(opens)) + 1))
    counts = np.diff(np.append(starts, len(columns)))
    whole = counts == target.seconds // source.seconds
    built = np.empty((len(COLUMNS), len(starts)))
    built[0] = opens[starts]
    built[1] = columns.open[starts]
    built[2] = np.maximum.reduceat(columns.high, starts)
    built[3] = np.minimum.reduceat(columns.low, starts)
    built[4] = columns.close[starts + counts - 1]
    built[5] = np.add.reduceat(columns.volume, starts)
    # Summed in the same order as the volume, so rounding could still leave it above: never more than all.
    built[6] = np.minimum(np.add.reduceat(columns.taker_buy_volume, starts), built[5])
    return CandleColumns(built[:, whole])
