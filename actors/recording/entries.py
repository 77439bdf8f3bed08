"""What a recording consists of, as it is written: a header, then entries in the order in which things happened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from actors.recording.failures import Failure
from actors.system import Options
from core.market import Market, SymbolRules
from core.timeframe import Timeframe
from exchanges.feeds.base import FundingRate
from schema.snapshot import Snapshot

FORMAT = 3
NOTHING = msgspec.Raw(b"null")


class CallEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call over the edge: to the store, to a venue, to the feed. `arguments`: positional, then named."""

    name: str
    arguments: msgspec.Raw = NOTHING
    result: msgspec.Raw = NOTHING
    news: msgspec.Raw = NOTHING
    error: Failure | None = None


class TurnEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entry", tag="turn"):
    """An actor handled a message. `readings`: of process time, in order; None is infinity."""

    actor: str
    life: int
    type: str
    at: datetime
    message: msgspec.Raw = NOTHING
    readings: tuple[float | None, ...] = ()
    calls: tuple[CallEntry, ...] = ()
    error: str | None = None


class KeptCandles(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Candle columns, by the hash of their (7, n) float64 bytes; those are `data`, or a file."""

    candles: int
    sha256: str
    data: bytes | None = None


class EffectEntry(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entry", tag="effect"
):
    """Work an actor had asked for was done. `id` names it: actor, life, how many before.

    `until`, `process_until_s`: when it was done, for statements that look at the time themselves.
    `times`: market times its transactions looked at. `late`: another store call was under way, so that which of
    the two committed first is not certain.
    """

    id: str
    at: datetime
    process_s: float
    until: datetime
    process_until_s: float
    times: tuple[datetime, ...] = ()
    calls: tuple[CallEntry, ...] = ()
    type: str | None = None
    result: msgspec.Raw = NOTHING
    error: Failure | None = None
    late: bool = False


class CommandEntry(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entry", tag="command"
):
    """Somebody outside, over HTTP or by the command line, had the store change something."""

    at: datetime
    process_s: float
    call: CallEntry
    times: tuple[datetime, ...] = ()
    late: bool = False


class OutsideEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry", tag="outside"):
    """A message from outside the actors."""

    actor: str
    type: str
    message: msgspec.Raw


class StopEntry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry", tag="stop"):
    """The process was asked to end."""

    mode: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the day left behind; each list in an order of its own, rows as plain values."""

    orders: list[Any]
    events: list[Any]
    risk: list[Any]
    ticks: list[Any]


class EndEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="entry", tag="end"):
    """`digest` is of all lines before. `problem`: why the recording ended before the process did."""

    at: datetime
    entries: int
    digest: str
    outcome: Outcome | None = None
    shared_with: tuple[str, ...] = ()
    problem: str | None = None


Entry = TurnEntry | EffectEntry | CommandEntry | OutsideEntry | StopEntry | EndEntry


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Where a process began: how it was wired, and the rows as they stood."""

    format: int
    at: datetime
    options: Options
    origin: str
    venues: tuple[str, ...]
    holds_future: bool
    markets: Mapping[str, Market]
    finest: Mapping[str, Timeframe]
    funding: Mapping[str, tuple[FundingRate, ...]]
    rules: Mapping[str, SymbolRules]
    snapshot: Snapshot
    beside: tuple[str, ...]
    """Actors of the process of which only supervision is recorded, as they started after the others."""
    runs_code: bool = False
    shadow_pct: float | None = None
    """How many of a hundred evaluations of code were repeated."""
