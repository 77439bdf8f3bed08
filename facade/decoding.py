"""Requests into structs: unknown fields refused by name, ids and numbers checked, bounds stated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from core.alert_key import AlertKey
from core.key_text import key_text
from core.redact import Secret
from facade.errors import ApiError, bad_field

T = TypeVar("T")

BODY_TIMEOUT_S: Final = 10.0
MAX_DECIMALS: Final = 12
_SNAKE: Final = re.compile(r"_([a-z0-9])")
_LOST_PLUS: Final = re.compile(r"(T[0-9:.]+) (\d\d:\d\d)")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


async def read_body(request: Request) -> bytes:
    try:
        return await asyncio.wait_for(request.body(), BODY_TIMEOUT_S)
    except TimeoutError as error:
        raise ApiError(400, f"The request body did not arrive within {BODY_TIMEOUT_S:g} s.") from error


async def decode(request: Request, form: type[T]) -> T:
    """The body as `form`; ApiError or msgspec's error for anything else. An empty body is `{}`."""
    decoded = _json(await read_body(request), form)
    _refuse_control_characters(decoded)
    return decoded


async def decode_either_case(request: Request, form: type[T]) -> T:
    """As `decode`, top-level fields in camelCase or snake_case."""
    fields = _json(await read_body(request), dict[str, msgspec.Raw])
    camel: dict[str, msgspec.Raw] = {}
    for name, value in fields.items():
        spelled = _SNAKE.sub(lambda match: match[1].upper(), name)
        if spelled in camel:
            raise bad_field(name, "is given twice")
        camel[spelled] = value
    decoded = _json(msgspec.json.encode(camel), form)
    _refuse_control_characters(decoded)
    return decoded


def decode_query(request: Request, form: type[T]) -> T:
    """The query parameters as `form`: unknown ones and those given twice are refused, empty ones are as if absent."""
    given: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name in given:
            raise bad_field(name, "is given twice")
        if text:
            # The offset's plus sign arrives as a space where it was not escaped.
            given[name] = _LOST_PLUS.sub(r"\1+\2", text)
    decoded = msgspec.convert(given, form, strict=False)
    _refuse_control_characters(decoded)
    return decoded


def within(field: str, value: Decimal, low: Decimal | int, high: Decimal | int) -> Decimal:
    """`value` when it is finite, inside the bounds and of sane precision."""
    if not value.is_finite() or not low <= value <= high:
        raise bad_field(field, f"must lie in {low} to {high}")
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_DECIMALS:
        raise bad_field(field, f"may have at most {MAX_DECIMALS} decimals")
    return value


def _json(body: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(body or b"{}", type=form, dec_hook=_decode_secret)
    except UnicodeDecodeError as error:
        raise ApiError(400, "The request body is not UTF-8.") from error
    except RecursionError as error:
        raise ApiError(400, "The request body is nested too deeply.") from error


def _decode_secret(form: type[Any], value: object) -> Secret:
    """A venue's key or secret, or any text as an alert key, out of sight from here on. Messages never quote it."""
    if form is AlertKey:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return AlertKey(value)
    if form is not Secret:
        raise NotImplementedError(f"{form.__name__} in a request")
    return Secret(key_text(value if isinstance(value, str) else ""))


def _refuse_control_characters(value: object, field: str = "") -> None:
    """Text of a request reaches the database, which takes no NUL, and terminals, which take too much."""
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise bad_field(field or "body", "holds a control character")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _refuse_control_characters(name, field)
            _refuse_control_characters(item, str(name))
    elif isinstance(value, msgspec.Struct):
        names: Any = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        for attribute, name in names:
            _refuse_control_characters(getattr(value, attribute), name)
