"""Strategies that are code: tried in the sandbox, and what their author is told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.market import Market
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Body, NodeGraph, Parameters, Shown

Code = Annotated[str, Meta(min_length=1, max_length=100_000)]


class CodeType(StrEnum):
    """The language of code; `external` has none: its signals come from outside."""

    PYTHON = "python"
    JAVASCRIPT = "javascript"
    TYPESCRIPT = "typescript"
    EXTERNAL = "external"


class ValidateCode(Body, frozen=True, kw_only=True):
    """Code with its language, a node graph, or the type `external`, and what it would run with; nothing is kept."""

    code: Code | None = None
    type: CodeType = CodeType.PYTHON
    symbol: Annotated[str, Meta(max_length=32)] = "BTCUSDT"
    timeframe: Annotated[str, Meta(max_length=8)] = "5m"
    params: Parameters = msgspec.field(default_factory=dict)
    node_graph: NodeGraph | None = None


class CodeErrorShown(Shown, frozen=True, kw_only=True):
    """`line` of the code, or `node`, `port` and `field` of the graph; null where none is to blame."""

    line: int | None
    message: str
    hint: str | None = None
    node: str | None = None
    port: str | None = None
    field: str | None = None


class WindowShown(Shown, frozen=True, kw_only=True):
    """A window beside the strategy's own candles. `name`: what code calls it; those of a graph have none.

    `venue` null: the strategy's own, whichever that will be.
    """

    name: str | None
    venue: str | None
    market: Market
    symbol: str
    timeframe: Timeframe
    lookback: int
    min_candles: int


class ValidatedAnswer(Answer, frozen=True, kw_only=True):
    """`ok` when the code or the graph may be kept; `signal`: what it answers at the last of the sample slots."""

    signal: str | None
    indicators: Mapping[str, float]
    errors: tuple[CodeErrorShown, ...]
    evaluations: int
    parameters: tuple[Mapping[str, Any], ...] | None
    """As the code declares them, or the numbers of the graph; null where there are none."""
    lookback: int | None
    uses_position: bool | None
    log: str
    """What it printed, the first 8 kB."""
    windows: tuple[WindowShown, ...] = ()
    heard_first_hours: Mapping[str, float] = {}
    """Venues at which a run hears trades for so long before its first answer, as no history tells them."""
