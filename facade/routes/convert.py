"""Strategies from source in another language: by a model that an operator configures."""

from __future__ import annotations

from facade.access import Access
from facade.endpoint import Call, route
from facade.errors import ApiError
from facade.operation import OperationRoute
from facade.schemas.convert import ConvertSource
from facade.schemas.form import Answer


async def convert(call: Call, body: ConvertSource) -> Answer:
    """Turn source in another language or plain words into a strategy; 503 without a model to ask."""
    raise ApiError(
        503, "There is no converter here: no model is configured.", code="CONVERTER_NOT_CONFIGURED"
    )


ROUTES: list[OperationRoute] = [route("POST", "/api/convert", convert, Access.USER)]
