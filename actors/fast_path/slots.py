"""The slots of a replay, numbered from 0."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.timeframe import Timeframe, from_ms, to_ms, to_us


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """`count` slots of `timeframe`, the first at `first_ms`."""

    first_ms: int
    count: int
    timeframe: Timeframe

    @classmethod
    def between(cls, first: datetime, last: datetime, timeframe: Timeframe) -> Slots:
        return Slots(first_ms=to_ms(first), count=(last - first) // timeframe.delta + 1, timeframe=timeframe)

    def ms(self, number: int) -> int:
        return self.first_ms + number * self.timeframe.ms

    def at(self, number: int) -> datetime:
        return from_ms(self.ms(number))

    def from_ms_on(self, ms: int) -> int:
        """The first slot at or after a moment; may lie beyond the last."""
        return -((self.first_ms - ms) // self.timeframe.ms)

    def from_on(self, at: datetime) -> int:
        return self.from_ms_on(-(-to_us(at) // 1_000))
