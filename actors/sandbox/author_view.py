"""What code looks at: a context whose parts can be had by attribute and by key, candles as columns and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from actors.sandbox.frames import Ask, Program
from core.candles import COLUMNS

Column = npt.NDArray[np.float64]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPEN_TIME, _CLOSE = COLUMNS.index("open_time"), COLUMNS.index("close")


class Fields(dict[str, Any]):
    """A mapping whose keys are attributes too."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"there is no {name!r} here; there are {', '.join(self) or 'none'}."
            ) from None


class Parameters(Fields):
    """As given; one that was not given is None, so that `parameters.period or 20` says what it means."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)


class Candles(Sequence[Fields]):
    """Closed candles, oldest first: `candles.close` is a float64 column, `candles[-1]["close"]` a value."""

    __slots__ = ("_data",)

    def __init__(self, data: npt.NDArray[np.float64]) -> None:
        self._data = data

    def __len__(self) -> int:
        return int(self._data.shape[1])

    @overload
    def __getitem__(self, at: int) -> Fields: ...

    @overload
    def __getitem__(self, at: slice) -> list[Fields]: ...

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, str):
            return getattr(self, at)
        if isinstance(at, slice):
            return [_candle(row) for row in self._data[:, at].T.tolist()]
        return _candle(self._data[:, at].tolist())

    def __iter__(self) -> Iterator[Fields]:
        return iter(self[:])

    def __getattr__(self, name: str) -> Column:
        try:
            column: Column = self._data[COLUMNS.index(name)]
        except ValueError:
            raise AttributeError(f"candles have no {name!r}; they have {', '.join(COLUMNS)}.") from None
        return column


def _candle(row: Sequence[float]) -> Fields:
    candle = Fields(zip(COLUMNS, row, strict=True))
    candle["open_time"] = int(row[_OPEN_TIME])
    return candle


def context_of(program: Program, ask: Ask) -> Fields:
    """Everything an evaluation may look at."""
    data = columns_of(ask.columns)
    held, price = ask.position, float(data[_CLOSE, -1])
    return Fields(
        candles=Candles(data),
        extra=Fields((name, Candles(columns_of(each))) for name, each in ask.extra.items()),
        parameters=Parameters(ask.parameters),
        position=None if held is None else Fields(_plain(held)),
        price=price,
        current_price=price,
        slot=_EPOCH + timedelta(milliseconds=ask.slot_ms),
        symbol=program.symbol,
        timeframe=program.timeframe,
    )


def columns_of(content: bytes) -> npt.NDArray[np.float64]:
    """Read-only."""
    return np.frombuffer(content).reshape(len(COLUMNS), -1)


def _plain(held: Any) -> Mapping[str, Any]:
    return {name: getattr(held, name) for name in held.__struct_fields__}
