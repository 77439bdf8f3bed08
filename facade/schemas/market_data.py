"""Stored candles, what they cover, and their download."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from core.market import Market
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Asked, Body, Shown

Symbol = Annotated[str, Meta(max_length=32)]
Resolution = Annotated[str, Meta(max_length=8)]
VenueName = Annotated[str, Meta(max_length=32)]
Moment = Annotated[datetime, Meta(tz=True)]


class CandlesAsked(Asked, frozen=True, kw_only=True):
    """`from`: the first open; `to`: the last close; without them the newest. `cursor`: the `nextCursor` before."""

    symbol: Symbol
    timeframe: Resolution
    venue: VenueName | None = None
    market: Market = Market.PERP
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 200
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class CandleShown(Shown, frozen=True, kw_only=True):
    """Prices and volumes are market data, not money: numbers. `takerBuyVolume` null where the source has none."""

    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    taker_buy_volume: float | None


class CandlesAnswer(Answer, frozen=True, kw_only=True):
    """Oldest first."""

    venue: str
    symbol: str
    timeframe: Timeframe
    candles: tuple[CandleShown, ...]
    next_cursor: str | None = None


class CoverageAsked(Asked, frozen=True, kw_only=True):
    """Without `from` the 400 days before `to`; without `to` until now."""

    symbol: Symbol
    timeframe: Resolution
    venue: VenueName | None = None
    market: Market = Market.PERP
    start: Moment | None = msgspec.field(default=None, name="from")
    end: Moment | None = msgspec.field(default=None, name="to")


class StretchShown(Shown, frozen=True, kw_only=True):
    """Candles without a hole: the first one's open to the last one's close."""

    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    candles: int


class HoleShown(Shown, frozen=True, kw_only=True):
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    missing: int


class CoverageAnswer(Answer, frozen=True, kw_only=True):
    """Oldest first. `holes`: between the first candle and the last. `cut`: more stretches follow; ask from there on."""

    venue: str
    symbol: str
    timeframe: Timeframe
    candles: int
    stretches: tuple[StretchShown, ...]
    holes: tuple[HoleShown, ...]
    cut: bool


class Backfill(Body, frozen=True, kw_only=True):
    """What is missing of the range is downloaded from the venue; what is stored stays."""

    symbol: Symbol
    timeframe: Resolution
    venue: VenueName | None = None
    market: Market = Market.PERP
    start: Moment = msgspec.field(name="from")
    end: Moment = msgspec.field(name="to")
