"""Code tried in the sandbox; nothing of it is kept."""

from __future__ import annotations

from core.definition import StrategyKind
from facade.access import Access
from facade.code import tried, validated_answer
from facade.endpoint import Call, route
from facade.operation import OperationRoute
from facade.schemas.code import ValidateCode, ValidatedAnswer


async def validate(call: Call, body: ValidateCode) -> ValidatedAnswer:
    """Try code on sample candles: the signal it answers, or what is wrong, where, and what to do about it."""
    found = await tried(
        call,
        StrategyKind(body.type.value),
        body.code,
        symbol=body.symbol,
        timeframe=body.timeframe,
        params=body.params,
    )
    return validated_answer(found)


ROUTES: list[OperationRoute] = [route("POST", "/api/strategies/validate", validate, Access.USER)]
