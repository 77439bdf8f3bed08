"""Strategies from source in another language: by a model that an operator configures."""

from __future__ import annotations

from core.definition import StrategyKind
from facade.access import Access
from facade.bridge import ConverterAway, ConverterBusy, Validated
from facade.code import tried, validated_answer
from facade.endpoint import Call, route
from facade.errors import ApiError, too_many
from facade.operation import OperationRoute
from facade.schemas.convert import ConvertAnswer, ConvertSource


async def convert(call: Call, body: ConvertSource) -> ConvertAnswer:
    """Turn source in another language or plain words into a strategy; 503 without a model to ask."""
    converter = call.services.converter
    if converter is None:
        raise ApiError(
            503, "There is no converter here: no model is configured.", code="CONVERTER_NOT_CONFIGURED"
        )
    wait_s = call.services.conversions.retry_after_s(call.user_id)
    if wait_s > 0:
        raise too_many("Too many sources were to be converted within a minute.", wait_s)
    call.services.conversions.tried(call.user_id)

    async def try_code(code: str) -> Validated:
        return await tried(
            call, StrategyKind.PYTHON, code, symbol=body.symbol, timeframe=body.timeframe, params={}
        )

    try:
        found = await converter.convert(body.source, language=body.language, try_code=try_code)
    except ConverterAway as away:
        raise ApiError(503, str(away), code="CONVERTER_UNAVAILABLE") from away
    except ConverterBusy as busy:
        raise ApiError(503, str(busy), code="CONVERTER_BUSY") from busy
    return ConvertAnswer(
        ok=found.ok,
        code=found.code,
        explanation=found.explanation,
        validation=None if found.validated is None else validated_answer(found.validated),
        rounds=found.rounds,
    )


ROUTES: list[OperationRoute] = [
    route("POST", "/api/convert", convert, Access.USER, idempotent=False),
]
