"""An edit request as the next version of a strategy."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.config import Settings
from core.definition import StrategyDefinition
from core.strategies import template
from core.strategies.code import StrategyCode
from core.strategies.configured import configured
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.errors import bad_field
from facade.making import checked, graph_source, stays_of_its_kind
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
    stays_of_its_kind(current, edit.strategy_template, edit.node_graph)
    stays = current.parameters
    if edit.node_graph is not None:
        stays = {}
    elif chosen != current.template:
        stays = configured(template(chosen).specs, min_data_points=settings.min_data_points)
    source = current.source if code is None else code.source()
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
        source=source if edit.node_graph is None else graph_source(edit.node_graph),
        parameters={**stays, **(edit.strategy_params or {})},
    )
    return checked(edited)
