"""An edit request as the next version of a strategy."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.config import Settings
from core.definition import StrategyDefinition, StrategyKind
from core.strategies import strategy_of
from core.strategies.code import StrategyCode
from core.strategy import strategy_parameters
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.errors import bad_field
from facade.preflight import symbol_allowed
from facade.schemas.strategies import EditStrategy


def next_version(
    current: StrategyDefinition,
    edit: EditStrategy,
    *,
    venues: Sequence[str],
    settings: Settings,
    code: StrategyCode | None = None,
) -> StrategyDefinition:
    """Raises ApiError or RunnerError with the field or the sentence. Runs may be active: I15 is asked here.

    `code`: the edit's, tried already.
    """
    symbol = current.symbol if edit.symbol is None else parse_symbol(edit.symbol)
    if symbol != current.symbol:
        symbol_allowed(symbol, settings)
    venue = edit.venue or current.venue
    if venue != current.venue and venue not in venues:
        raise bad_field("venue", f"must be one whose candles there are: {', '.join(venues)}")
    chosen = edit.strategy_template or current.template
    if current.kind is not StrategyKind.TEMPLATE and chosen != current.template:
        raise bad_field("strategyTemplate", f"is not this strategy's to have: it is {current.kind}")
    stays = current.parameters if chosen == current.template else {}
    edited = replace(
        current,
        version=current.version + 1,
        name=edit.name or current.name,
        description=current.description if edit.description is None else edit.description,
        visibility=edit.visibility or current.visibility,
        symbol=symbol,
        timeframe=current.timeframe if edit.timeframe is None else Timeframe.parse(edit.timeframe),
        venue=venue,
        template=chosen,
        source=current.source if code is None else code.source(),
        parameters={**stays, **(edit.strategy_params or {})},
    )
    return replace(edited, parameters=strategy_parameters(strategy_of(edited), edited.parameters))
