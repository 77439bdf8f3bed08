"""The types of nodes by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from core.strategies.graph.nodes.arithmetic import Arithmetic
from core.strategies.graph.nodes.base import NodeType
from core.strategies.graph.nodes.conditions import Compare, Cross, Logic
from core.strategies.graph.nodes.data_source import DataSource
from core.strategies.graph.nodes.filters import Filter
from core.strategies.graph.nodes.indicator import IndicatorNode
from core.strategies.graph.nodes.orchestrator import Orchestrator
from core.strategies.graph.nodes.position import PositionNode
from core.strategies.graph.nodes.score import Score

DATA_SOURCE: Final = DataSource()
ORCHESTRATOR: Final = Orchestrator()
POSITION: Final = PositionNode()
_ALL: Final[tuple[NodeType, ...]] = (
    DATA_SOURCE,
    IndicatorNode(),
    Arithmetic(),
    Compare(),
    Cross(),
    Logic(),
    Filter(),
    Score(),
    POSITION,
    ORCHESTRATOR,
)
NODE_TYPES: Final[Mapping[str, NodeType]] = MappingProxyType({each.name: each for each in _ALL})
MIXING: Final = frozenset({"math", "compare", "cross", "logic", "score", "orchestrator"})
"""Types at which series of different candles meet; they do on the strategy's own."""
SHOWN: Final = frozenset({"indicator", "score"})
"""Types whose values at the slot are told with the signal."""
