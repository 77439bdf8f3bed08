"""What a strategy is, as its owner defined it; runs follow its latest version (decision 15)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from core.ids import StrategyId, UserId
from core.timeframe import Timeframe


class StrategyKind(StrEnum):
    TEMPLATE = "template"
    GRAPH = "graph"
    PYTHON = "python"
    JAVASCRIPT = "javascript"
    TYPESCRIPT = "typescript"
    EXTERNAL = "external"


class Visibility(StrEnum):
    PRIVATE = "private"
    PUBLIC = "public"
    MARKETPLACE = "marketplace"


class StrategyDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a strategy: what decides, with which parameters, on which candles.

    `template` names a built-in one; other kinds carry what they are made of in `source`, and their kind's name there.
    """

    id: StrategyId
    owner_id: UserId
    name: str
    template: str
    parameters: Mapping[str, int | float | bool | str]
    symbol: str
    timeframe: Timeframe
    version: int = 1
    kind: StrategyKind = StrategyKind.TEMPLATE
    source: str = ""
    venue: str = "binance"
    market: str = "perp"
    visibility: Visibility = Visibility.PRIVATE
    description: str = ""
