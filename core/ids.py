"""Identities: who is who, and the client order id that names an attempt at a leg of a slot."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NewType
from uuid import UUID

import msgspec

from core.errors import RunnerError

RunId = NewType("RunId", UUID)
StrategyId = NewType("StrategyId", UUID)
AccountId = NewType("AccountId", UUID)
"""An exchange connection or a paper portfolio: where a run's money is."""
UserId = NewType("UserId", str)
NodeId = NewType("NodeId", str)
ClientOrderId = NewType("ClientOrderId", str)

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_SLOT_CHARS = 6
_ATTEMPT_CHARS = 2
MAX_ATTEMPTS = 36**_ATTEMPT_CHARS - 1

LEG_CODES = {"exit": "x", "entry": "e", "flatten": "f", "repair": "r"}
_LEGS_BY_CODE = {code: leg for leg, code in LEG_CODES.items()}
_OURS = re.compile(r"[A-Za-z0-9_-]{22}[0-9a-z]{6}[xefr][0-9a-z]{2}")
PROTECTION_CODES = {"stop_loss": "s", "take_profit": "t", "trailing_stop": "f"}
_PROTECTIONS_BY_CODE = {code: leg for leg, code in PROTECTION_CODES.items()}
_PROTECTION = re.compile(r"p-([stf])[0-9a-z]{10}")


class OrderKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a client order id says: the run, the slot, the leg and the attempt (from 1)."""

    run_id: RunId
    slot: datetime
    leg: str
    attempt: int


def client_order_id(key: OrderKey) -> ClientOrderId:
    """31 characters of `[A-Za-z0-9_-]`, a function of the key alone; both venues take up to 36."""
    slot = _base36(int(key.slot.timestamp()), _SLOT_CHARS)
    attempt = _base36(key.attempt, _ATTEMPT_CHARS)
    return ClientOrderId(f"{_run_text(key.run_id.bytes)}{slot}{LEG_CODES[key.leg]}{attempt}")


@lru_cache(maxsize=4_096)
def parse_client_order_id(text: str) -> OrderKey | None:
    """The key of an order of ours found at a venue; None for ids that are not ours."""
    if _OURS.fullmatch(text) is None:
        return None
    try:
        run = UUID(bytes=base64.urlsafe_b64decode(text[:22] + "=="))
        slot = datetime.fromtimestamp(int(text[22:28], 36), UTC)
        attempt = int(text[29:], 36)
    except ValueError:
        return None
    key = OrderKey(run_id=RunId(run), slot=slot, leg=_LEGS_BY_CODE[text[28]], attempt=attempt)
    # base64 also reads spellings that this service never writes.
    return key if client_order_id(key) == text else None


def protection_id(leg: str, at: datetime, serial: int) -> str:
    """13 characters that name a stop, target or trailing stop of ours at a venue; `serial` parts those of a moment."""
    ms, pair = int(at.timestamp() * 1000), serial % 36**_ATTEMPT_CHARS
    return f"p-{PROTECTION_CODES[leg]}{_base36(ms, 8)}{_base36(pair, _ATTEMPT_CHARS)}"


def protection_leg(text: str) -> str | None:
    """What a conditional order of ours is, by its id; None for ids that are not ours."""
    found = _PROTECTION.fullmatch(text)
    return _PROTECTIONS_BY_CODE[found[1]] if found else None


@lru_cache(maxsize=4_096)
def _run_text(run_id: bytes) -> str:
    return base64.urlsafe_b64encode(run_id).rstrip(b"=").decode()


def _base36(number: int, width: int) -> str:
    """`width` is even: two digits are looked up at a time."""
    if not 0 <= number < 36**width:
        raise RunnerError(f"{number} does not fit in {width} base-36 characters")
    text = ""
    for _ in range(width // 2):
        number, pair = divmod(number, len(_PAIRS))
        text = _PAIRS[pair] + text
    return text


_PAIRS = tuple(f"{high}{low}" for high in _DIGITS for low in _DIGITS)
