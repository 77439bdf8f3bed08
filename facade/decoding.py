"""Requests into structs: unknown fields refused by name, ids and numbers checked, bounds stated."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
from starlette.requests import Request

from core.key_text import key_text
from core.redact import Secret
from facade.errors import ApiError, Detail, bad_field, not_found

T = TypeVar("T")

BODY_TIMEOUT_S: Final = 10.0
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_DECIMALS: Final = 12
_SNAKE: Final = re.compile(r"_([a-z0-9])")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


async def read_body(request: Request) -> bytes:
    try:
        return await asyncio.wait_for(request.body(), BODY_TIMEOUT_S)
    except TimeoutError as error:
        raise ApiError(400, f"The request body did not arrive within {BODY_TIMEOUT_S:g} s.") from error


async def decode(request: Request, form: type[T]) -> T:
    """The body as `form`; ApiError or msgspec's error for anything else. An empty body is `{}`."""
    decoded = msgspec.json.decode(await read_body(request) or b"{}", type=form, dec_hook=_decode_secret)
    _refuse_control_characters(decoded)
    return decoded


async def decode_either_case(request: Request, form: type[T]) -> T:
    """As `decode`, top-level fields in camelCase or snake_case."""
    fields = msgspec.json.decode(await read_body(request) or b"{}", type=dict[str, msgspec.Raw])
    camel: dict[str, msgspec.Raw] = {}
    for name, value in fields.items():
        spelled = _SNAKE.sub(lambda match: match[1].upper(), name)
        if spelled in camel:
            raise bad_field(name, "is given twice")
        camel[spelled] = value
    decoded = msgspec.json.decode(msgspec.json.encode(camel), type=form)
    _refuse_control_characters(decoded)
    return decoded


def path_uuid(request: Request, name: str = "id") -> UUID:
    """The id in the path; what is no id names nothing of anybody's."""
    try:
        return UUID(request.path_params[name])
    except ValueError as error:
        raise not_found() from error


class Query:
    """Query parameters, read one by one; `done` refuses those nobody read."""

    def __init__(self, request: Request) -> None:
        self._given = request.query_params
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        self._read.add(name)
        value = self._given.get(name)
        if value is not None and _CONTROL.search(value):
            raise bad_field(name, "holds a control character")
        return value or None

    def limit(self) -> int:
        text = self.text("limit")
        if text is None:
            return DEFAULT_LIMIT
        if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= MAX_LIMIT:
            raise bad_field("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
        return int(text)

    def uuid(self, name: str) -> UUID | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return UUID(text)
        except ValueError as error:
            raise bad_field(name, "must be a UUID") from error

    def time(self, name: str) -> datetime | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            at = msgspec.convert(text.replace(" ", "+"), datetime)
        except msgspec.ValidationError as error:
            raise bad_field(name, "must be a time like 2026-01-01T00:00:00Z") from error
        if at.tzinfo is None:
            raise bad_field(name, "must say its offset, as in 2026-01-01T00:00:00Z")
        return at.astimezone(UTC)

    def choice(self, name: str, allowed: Mapping[str, T]) -> T | None:
        text = self.text(name)
        if text is None:
            return None
        if text not in allowed:
            raise bad_field(name, f"must be one of {', '.join(allowed)}")
        return allowed[text]

    def done(self) -> None:
        unknown = [name for name in self._given if name not in self._read]
        if unknown:
            raise ApiError(
                400,
                f"There is no query parameter {unknown[0]!r:.60}.",
                details=[Detail(field=name, message="unknown") for name in unknown],
            )


def within(field: str, value: Decimal, low: Decimal | int, high: Decimal | int) -> Decimal:
    """`value` when it is finite, inside the bounds and of sane precision."""
    if not value.is_finite() or not low <= value <= high:
        raise bad_field(field, f"must lie in {low} to {high}")
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_DECIMALS:
        raise bad_field(field, f"may have at most {MAX_DECIMALS} decimals")
    return value


def _decode_secret(form: type[Any], value: object) -> Secret:
    """A key or secret of a venue, out of sight from here on. Messages never quote what was given."""
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
