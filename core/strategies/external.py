"""Strategies whose signals come from outside: nothing is evaluated, and there is nothing to replay."""

from __future__ import annotations

from typing import Final

from core.definition import StrategyDefinition, StrategyKind
from core.errors import RunnerError
from core.ids import StrategyId
from core.market import Series
from core.parameters import Parameters, ParameterSpec
from core.signal import Action, Signal
from core.strategy import Context, WantedWindow

EXTERNAL: Final = StrategyKind.EXTERNAL.value


class NotReplayable(RunnerError):
    """There is nothing in the candles that such a strategy would have said."""


class ExternalStrategy:
    """What it says differs from any other's: its own id is its content."""

    name = EXTERNAL
    specs: tuple[ParameterSpec, ...] = ()
    uses_position = False

    def __init__(self, strategy_id: StrategyId) -> None:
        self.content = f"{EXTERNAL}:{strategy_id}"

    def problems(self, parameters: Parameters) -> list[str]:
        return []

    def lookback(self, parameters: Parameters) -> int:
        return 1

    def min_candles(self, parameters: Parameters) -> int:
        return 1

    def windows(self, series: Series, parameters: Parameters) -> tuple[WantedWindow, ...]:
        return ()

    def decide(self, context: Context) -> Signal:
        """Candles alone say nothing."""
        return Signal(action=Action.HOLD)


def replayable(kind: StrategyKind) -> None:
    """Raises NotReplayable."""
    if kind is StrategyKind.EXTERNAL:
        raise NotReplayable(
            "A strategy of kind external cannot be replayed: its signals come from outside, not from candles."
        )


def is_external(definition: StrategyDefinition) -> bool:
    return definition.kind is StrategyKind.EXTERNAL
