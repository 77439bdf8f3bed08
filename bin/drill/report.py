"""What a drill found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`checked`: how often. `rows`: the first that broke it."""

    text: str
    checked: int
    rows: Sequence[Any] = ()

    @property
    def held(self) -> bool:
        return not self.rows


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`blows` and `ticks` by kind; seconds are of process time. `notes`: what the processes themselves did wrong."""

    held: bool
    seconds: float
    processes: int
    runs: int
    lease_s: float
    blows: Mapping[str, int]
    slots: int
    ticks: Mapping[str, int]
    orders: int
    fills: int
    trades: int
    events: int
    longest_orphan_s: float
    orphan_bound_s: float
    statements: Sequence[Statement]
