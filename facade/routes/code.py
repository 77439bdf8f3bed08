"""Code tried in the sandbox, graphs in this process; nothing of them is kept."""

from __future__ import annotations

from core.definition import StrategyKind
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from facade.access import Access
from facade.bridge import TriedGraph, sample_series, try_graph
from facade.code import (
    VALIDATE_TIMEOUT_S,
    external_answer,
    graph_answer,
    nothing_to_evaluate,
    tried,
    validated_answer,
)
from facade.endpoint import Call, route
from facade.errors import bad_field
from facade.examples import examples
from facade.making import NodeGraph
from facade.operation import OperationRoute
from facade.schemas.code import CodeType, ValidateCode, ValidatedAnswer
from facade.schemas.examples import ExamplesAnswer


async def validate(call: Call, body: ValidateCode) -> ValidatedAnswer:
    """Try code or a graph on sample candles: the signal it answers, or what is wrong, where, and how to mend it."""
    if body.type is CodeType.EXTERNAL:
        nothing_to_evaluate(body.code, body.node_graph)
        return external_answer()
    if body.node_graph is not None:
        return graph_answer(await _tried_graph(call, body, body.node_graph))
    if body.code is None:
        raise bad_field("code", "is missing: give code, or nodeGraph")
    found = await tried(
        call,
        StrategyKind(body.type.value),
        body.code,
        symbol=body.symbol,
        timeframe=body.timeframe,
        params=body.params,
    )
    return validated_answer(found)


async def list_examples(call: Call) -> ExamplesAnswer:
    """Strategies to begin with, of every kind."""
    return ExamplesAnswer(examples=examples())


async def _tried_graph(call: Call, body: ValidateCode, graph: NodeGraph) -> TriedGraph:
    if body.code is not None:
        raise bad_field("code", "is given beside nodeGraph; a strategy is made of one thing")
    own = sample_series(parse_symbol(body.symbol), Timeframe.parse(body.timeframe))
    given = body.params
    return await call.bridge.call(
        lambda: try_graph(graph, own=own, given=given), timeout_s=VALIDATE_TIMEOUT_S
    )


ROUTES: list[OperationRoute] = [
    route("POST", "/api/strategies/validate", validate, Access.USER),
    route("GET", "/api/strategies/examples", list_examples, Access.USER),
]
