"""Cursors of lists: opaque text for the place where a page ended, a time and an id."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from facade.errors import bad_field

BEYOND_ALL: Final = 2**63 - 1
_MAX_CHARS: Final = 200
_NUMBER: Final = re.compile(r"#[0-9]{1,18}")


def cursor_text(at: datetime, id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id}".encode("ascii")).decode("ascii")


def read_cursor(text: str | None) -> tuple[datetime, UUID] | None:
    """The place a page ended; ApiError 400 for a cursor of somebody else's making."""
    if text is None:
        return None
    try:
        plain = base64.urlsafe_b64decode(text[:_MAX_CHARS]).decode("ascii")
        at_text, _, id_text = plain.partition("|")
        at = msgspec.convert(at_text, datetime)
        if at.tzinfo is None:
            raise ValueError("a time without offset")
        return at, UUID(id_text)
    except (binascii.Error, UnicodeError, ValueError, msgspec.ValidationError) as error:
        raise bad_field("cursor", "must be one that a page before gave") from error


def number_text(number: int) -> str:
    """The place of a row that is numbered in the order of its list."""
    return base64.urlsafe_b64encode(f"#{number}".encode("ascii")).decode("ascii")


def read_number(text: str | None) -> int:
    """The number a page ended at; beyond all there are for the first page."""
    if text is None:
        return BEYOND_ALL
    try:
        plain = base64.urlsafe_b64decode(text[:_MAX_CHARS]).decode("ascii")
        if not _NUMBER.fullmatch(plain):
            raise ValueError("not a number")
        return int(plain[1:])
    except (binascii.Error, UnicodeError, ValueError) as error:
        raise bad_field("cursor", "must be one that a page before gave") from error
