"""A change that is not saved yet: what it would have done over the last days."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from facade.schemas.form import NodeGraph, Parameters
from facade.schemas.risk import LimitFields
from facade.schemas.trading import TradingFields

Days = Annotated[int, Meta(ge=1, le=30)]


class WhatIfSettings(TradingFields, frozen=True, kw_only=True):
    """A change of the strategy (symbol, timeframe, params, graph) or the caller's run of it; what is not given stays.

    `runId`: whose settings change, where the caller has several runs; without one those of all. The result's `leftOut`
    counts the runs that were not replayed with these: beyond the newest 20, or on another venue.
    """

    days: Days = 7
    run_id: UUID | None = None
    symbol: Annotated[str, Meta(max_length=32)] | None = None
    timeframe: Annotated[str, Meta(max_length=8)] | None = None
    params: Parameters | None = None
    node_graph: NodeGraph | None = None
    capital: Decimal | UnsetType = UNSET
    risk_pct: Decimal | UnsetType | None = UNSET


class WhatIfLimits(LimitFields, frozen=True, kw_only=True):
    """A change of the caller's risk limits; what is not given stays. The result's `leftOut` counts the active runs that
    were not replayed: beyond the newest 20, or on another venue than most.
    """

    days: Days = 7
