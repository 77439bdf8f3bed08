"""What the strategy answered at every slot, as arrays: where it trades next, how often it said what."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, overload

import numpy as np
import numpy.typing as npt

from actors.backtest_result import BacktestSignal
from actors.fast_path.slots import Slots
from core.candles import CandleColumns
from core.strategy import (
    ACTION_CODES,
    NOT_EVALUATED,
    ActionCodes,
    Parameters,
    SeriesStrategy,
    action_of,
    signals_in,
)
from core.timeframe import from_ms

Numbers = npt.NDArray[np.int64]

TOO_FEW: Final = NOT_EVALUATED + 1
"""In an array of answers by slot: history is too short yet; NOT_EVALUATED is left for holes in it."""


def answers_by_slot(
    strategy: SeriesStrategy, candles: CandleColumns, parameters: Parameters, slots: Slots
) -> ActionCodes:
    """One code per slot; `candles` reach back as far as the first slot's window and on to the last slot's candle."""
    step_ms = slots.timeframe.ms
    codes = signals_in(strategy, candles, slots.timeframe, parameters)
    opens, zero_ms = candles.open_time, slots.first_ms - step_ms
    first, last = (int((at_ms - zero_ms) // step_ms) for at_ms in (opens[0], opens[-1]))
    clean = len(candles)
    if last - first == clean - 1 and first <= 0:
        by_slot = codes[-first:]
    else:
        by_slot = np.full(slots.count, NOT_EVALUATED, dtype=np.int8)
        shown = opens >= zero_ms
        by_slot[((opens[shown] - zero_ms) / step_ms).astype(np.int64)] = codes[shown]
        # Before the first hole a window only lacks history; after it, it would show the hole.
        clean = 1 + int(np.argmax(np.append(np.diff(opens), 0) != step_ms))
    short = first + min(clean, strategy.min_candles(parameters) - 1)
    by_slot[: max(0, short)] = TOO_FEW
    return by_slot


class Answers:
    """Codes by slot, with the slots of each code but HOLD sorted out once."""

    def __init__(self, codes: ActionCodes) -> None:
        self.codes = codes
        told = self._numbers = np.flatnonzero(codes != ACTION_CODES_HOLD)
        values = self._values = codes[told]
        self._slots: dict[int, Numbers] = {
            code: told[values == code] for code in (*_TOLD, NOT_EVALUATED, TOO_FEW)
        }
        self._views: dict[frozenset[int], memoryview[int]] = {}

    def next_of(self, wanted: frozenset[int], start: int) -> int:
        """The first slot from `start` on with one of these codes; the number of slots where there is none."""
        slots = self._views.get(wanted)
        if slots is None:
            slots = self._views[wanted] = self._of(wanted).data
        found = bisect_left(slots, start)
        return slots[found] if found < len(slots) else len(self.codes)

    def counts(self, starts: Sequence[int], stops: Sequence[int]) -> Mapping[int, int]:
        """How many slots of these stretches have each code."""
        bounds = np.array([starts, stops], dtype=np.int64)
        found = {}
        for code, slots in self._slots.items():
            firsts, ends = slots.searchsorted(bounds)
            found[code] = int((ends - firsts).sum())
        found[ACTION_CODES_HOLD] = int((bounds[1] - bounds[0]).sum()) - sum(found.values())
        return found

    def told(self, slots: Slots, hidden: Sequence[tuple[int, int]]) -> SignalList:
        """Every signal but those of the `hidden` stretches, ascending, in which nothing was evaluated."""
        numbers = self._of(frozenset(_TOLD))
        if hidden:
            bounds = numbers.searchsorted(np.array(hidden, dtype=np.int64).T)
            depth = np.zeros(len(numbers) + 1, dtype=np.int64)
            np.add.at(depth, bounds[0], 1)
            np.add.at(depth, bounds[1], -1)
            numbers = numbers[np.cumsum(depth)[:-1] == 0]
        return SignalList(numbers, self.codes[numbers], slots)

    def _of(self, wanted: frozenset[int]) -> Numbers:
        if len(wanted) == 1:
            return self._slots[next(iter(wanted))]
        chosen = np.zeros(len(self._values), dtype=np.bool_)
        for code in wanted:
            chosen |= self._values == code
        return self._numbers[chosen]


class SignalList(Sequence[BacktestSignal]):
    """Signals made when they are looked at: most who ask for a backtest only count them."""

    def __init__(self, numbers: Numbers, codes: ActionCodes, slots: Slots) -> None:
        self._numbers = numbers
        self._codes = codes
        self._slots = slots

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> BacktestSignal: ...
    @overload
    def __getitem__(self, index: slice) -> SignalList: ...
    def __getitem__(self, index: int | slice) -> BacktestSignal | SignalList:
        if isinstance(index, slice):
            return SignalList(self._numbers[index], self._codes[index], self._slots)
        return BacktestSignal(self._slots.at(int(self._numbers[index])), _NAMES[int(self._codes[index])])

    def __iter__(self) -> Iterator[BacktestSignal]:
        closes = (self._slots.first_ms + self._numbers * self._slots.timeframe.ms).tolist()
        return (
            BacktestSignal(from_ms(close), _NAMES[code])
            for close, code in zip(closes, self._codes.tolist(), strict=True)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(_pairwise_equal(self, other))

    def __hash__(self) -> int:
        return hash((self._numbers.tobytes(), self._codes.tobytes()))


def _pairwise_equal(left: Iterable[object], right: Iterable[object]) -> Iterator[bool]:
    return (one == other for one, other in zip(left, right, strict=True))


ACTION_CODES_HOLD: Final = 0
_TOLD: Final = tuple(code for code in ACTION_CODES.values() if code != ACTION_CODES_HOLD)
_NAMES: Final = {code: action.value for code in _TOLD if (action := action_of(code)) is not None}
