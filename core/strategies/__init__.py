"""The built-in strategies by name, and what decides for a definition, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from core.definition import StrategyDefinition, StrategyKind
from core.errors import RunnerError
from core.strategies.bollinger_reversion import BollingerReversion
from core.strategies.code import CODE_KINDS, CodeStrategy, StrategyCode
from core.strategies.donchian_breakout import DonchianBreakout
from core.strategies.ema_cross import EmaCross
from core.strategies.external import ExternalStrategy
from core.strategies.graph.strategy import graph_strategy
from core.strategies.macd import Macd
from core.strategies.rsi_oversold_overbought import RsiOversoldOverbought
from core.strategies.sma_trend import SmaTrend
from core.strategies.squeezeflow import SqueezeFlow
from core.strategy import Strategy


class UnknownTemplate(RunnerError):
    """No built-in strategy has this name."""


_ALL: Final[tuple[Strategy, ...]] = (
    RsiOversoldOverbought(),
    SmaTrend(),
    EmaCross(),
    Macd(),
    BollingerReversion(),
    DonchianBreakout(),
    SqueezeFlow(),
)
TEMPLATES: Final[Mapping[str, Strategy]] = MappingProxyType({template.name: template for template in _ALL})


def template(name: str) -> Strategy:
    """The built-in strategy called `name`; raises UnknownTemplate listing those there are."""
    found = TEMPLATES.get(name)
    if found is None:
        raise UnknownTemplate(f"There is no template {name!r}; there are {', '.join(TEMPLATES)}.")
    return found


def strategy_of(definition: StrategyDefinition) -> Strategy | CodeStrategy:
    """What decides for `definition`, by its kind. Raises RunnerError sentences where nothing can."""
    if definition.kind in CODE_KINDS:
        return CodeStrategy(definition.kind, StrategyCode.read(definition.source), definition.parameters)
    if definition.kind is StrategyKind.GRAPH:
        return graph_strategy(definition.source)
    if definition.kind is StrategyKind.EXTERNAL:
        return ExternalStrategy(definition.id)
    return template(definition.template)
