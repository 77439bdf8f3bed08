"""What a refusal of Binance's means: HTTP status, code and text → class → what the caller may conclude.

Source: USDⓈ-M Futures, "Error Codes" and "General Info / HTTP Return Codes".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import msgspec

from core.errors import ImpossibleVenueData
from core.redact import without_secrets
from exchanges.binance.wire import WIRE_ERRORS, ErrorBody, time_of
from exchanges.error_class import ErrorClass
from exchanges.errors import (
    AuthFailed,
    Banned,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.wire import Answer

SHORTEST_BAN: Final = timedelta(minutes=2)
BACK_OFF_S: Final = 5.0
MAX_BACK_OFF_S: Final = 3600.0
_TEXT_SHOWN: Final = 200
_BANNED_UNTIL: Final = re.compile(r"banned until (\d{12,14})\b", re.IGNORECASE)


_C = ErrorClass
_TABLE: Final[Mapping[ErrorClass, tuple[int, ...]]] = {
    _C.OK_ALREADY: (-4046, -4059, -4171, -5027),
    _C.RETRY_BACKOFF: (-1001, -1008),
    _C.RATE_LIMIT: (-1003, -1015),
    _C.CLOCK_SKEW: (-1021, -5028),
    _C.AUTH_PERMANENT: (-1002, -1011, -1022, -1099, -2014, -2015, -2017, -4056, -4057),
    _C.UNKNOWN_STATUS: (-1000, -1006, -1007),
    _C.DUPLICATE_CLIENT_ID: (-4116,),
    _C.ORDER_NOT_FOUND: (-2011, -2013, -4117),
    _C.INSUFFICIENT_MARGIN: (-2018, -2019, -2028),
    _C.FILTER_VIOLATION: (
        -1013, -1111, -4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4016, -4023, -4024, -4164,
        -4210, -4211,
    ),
    _C.RISK_LIMIT: (-2025, -2027, -4045),
    _C.REDUCE_ONLY_REJECTED: (-2022, -2024, -4118),
    _C.REDUCE_ONLY_MODE: (-4087, -4105, -4106, -4107, -4189, -4400, -4401),
    _C.POSITION_MODE_MISMATCH: (-4060, -4061, -4062),
    _C.CONFIG_BLOCKED: (-4028, -4047, -4048, -4067, -4068, -4161, -4168, -4403, -4531),
    _C.WOULD_TRIGGER: (-2021, -4135, -4142),
    _C.WRONG_ENDPOINT: (-4120,),
    _C.ORDER_REJECTED: (-1112, -2010, -2020, -4131, -5021, -5022, -5041),
    _C.SYMBOL_UNAVAILABLE: (-1121, -1122, -4140, -4144, -4402),
    _C.ACCOUNT_RESTRICTED: (-2023, -4088, -4109, -4192),
    _C.BAD_REQUEST: (
        -1010, -1014, -1016, -1020, -1023, -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1108, -1115, -1116,
        -1117, -1120, -1127, -1128, -1130, -2026, -4015, -4031, -4082, -4137, -4138, -4165, -5037,
    ),
    _C.STREAM_EXPIRED: (-1125,),
}  # fmt: skip
CODES: Final[Mapping[int, ErrorClass]] = {code: cls for cls, codes in _TABLE.items() for code in codes}

_REFUSALS: Final[Mapping[ErrorClass, Refusal]] = {
    _C.INSUFFICIENT_MARGIN: Refusal.INSUFFICIENT_MARGIN,
    _C.FILTER_VIOLATION: Refusal.PRICE,
    _C.RISK_LIMIT: Refusal.TOO_MANY_ORDERS,
    _C.REDUCE_ONLY_REJECTED: Refusal.REDUCE_ONLY,
    _C.REDUCE_ONLY_MODE: Refusal.RESTRICTED,
    _C.POSITION_MODE_MISMATCH: Refusal.MODE,
    _C.CONFIG_BLOCKED: Refusal.MODE,
    _C.WOULD_TRIGGER: Refusal.WOULD_TRIGGER,
    _C.WRONG_ENDPOINT: Refusal.MALFORMED,
    _C.SYMBOL_UNAVAILABLE: Refusal.UNKNOWN_SYMBOL,
    _C.ACCOUNT_RESTRICTED: Refusal.RESTRICTED,
    _C.BAD_REQUEST: Refusal.MALFORMED,
}
# Where the code says more than its class.
_REFUSALS_BY_CODE: Final[Mapping[int, Refusal]] = {
    -1013: Refusal.OTHER,
    -1111: Refusal.STEP_SIZE,
    -2027: Refusal.LEVERAGE,
    -4003: Refusal.MIN_QUANTITY,
    -4004: Refusal.MIN_QUANTITY,
    -4005: Refusal.MAX_QUANTITY,
    -4014: Refusal.TICK_SIZE,
    -4023: Refusal.STEP_SIZE,
    -4028: Refusal.LEVERAGE,
    -4131: Refusal.PRICE,
    -4161: Refusal.LEVERAGE,
    -4164: Refusal.MIN_NOTIONAL,
    -4403: Refusal.LEVERAGE,
}
# Texts of 503 that say nothing was executed, by how they begin.
_NOT_EXECUTED: Final = (
    "service unavailable",
    "internal error; unable to process",
    "request throttled by system",
)


class Doing(Enum):
    """What the refused call was for: it decides what an answer without a verdict means."""

    PLACING = "placing an order"
    CHANGING = "a change"
    READING = "a read"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue said. `text` holds no key and no signature. `alert`: it stands in no table."""

    error_class: ErrorClass
    status: int
    code: int | None
    text: str
    alert: bool = False
    banned_until: datetime | None = None
    retry_after_s: float | None = None

    @property
    def refusal(self) -> Refusal:
        named = None if self.code is None else _REFUSALS_BY_CODE.get(self.code)
        return named or _REFUSALS.get(self.error_class, Refusal.OTHER)


def classify(answer: Answer, *, reads: bool = False) -> Verdict:
    """The class of an answer that is no 200: by 418 and 403, 429, body code, 503 text, other 5xx, in this order.

    Without a verdict a change is of unknown outcome; a read (`reads`) may simply be repeated.
    """
    body = _error_body(answer.body)
    until = _banned_until(body.msg if body else answer.body[:1000].decode(errors="replace"))
    error_class, alert = _class_of(answer, body, until)
    if reads and error_class is _C.UNKNOWN_STATUS:
        error_class = _C.RETRY_BACKOFF
    return Verdict(
        error_class=error_class,
        status=answer.status,
        code=body.code if body else None,
        text=_shown(body.msg) if body else "",
        alert=alert,
        banned_until=until,
        retry_after_s=_retry_after_s(answer),
    )


def _class_of(answer: Answer, body: ErrorBody | None, until: datetime | None) -> tuple[ErrorClass, bool]:
    status = answer.status
    if status in (418, 403) or (until is not None and (status == 429 or (body and body.code == -1003))):
        return _C.IP_BAN, False
    if status == 429:
        return _C.RATE_LIMIT, False
    coded = body is not None and body.code is not None
    known = CODES.get(body.code) if body is not None and body.code is not None else None
    if known is not None:
        return known, False
    if status == 503:
        text = body.msg if body else answer.body[:200].decode(errors="replace")
        executed = not text.strip().lower().startswith(_NOT_EXECUTED)
        return (_C.UNKNOWN_STATUS if executed else _C.RETRY_BACKOFF), False
    if status >= 500 or status == 408:
        return _C.UNKNOWN_STATUS, coded
    if status == 401:
        return _C.AUTH_PERMANENT, coded
    if status == 404 or (400 <= status < 500 and coded):
        return _C.BAD_REQUEST, True
    return _C.UNKNOWN_STATUS, True


def failure(verdict: Verdict, doing: Doing, what: str, *, now: datetime) -> ExchangeError:
    """The exception of a verdict; `what` names the order or the call, `now` is venue time.

    A clock error is raised as not resynchronised; who reads the offset anew says so.
    """
    error = _error(verdict, doing, _sentence(verdict, what), now)
    if verdict.alert:
        error.alert = True
    return error


def _error(verdict: Verdict, doing: Doing, sentence: str, now: datetime) -> ExchangeError:
    match verdict.error_class:
        case _C.IP_BAN:
            return Banned(sentence, until=verdict.banned_until or now + SHORTEST_BAN)
        case _C.RATE_LIMIT:
            wait_s = BACK_OFF_S if verdict.retry_after_s is None else verdict.retry_after_s
            return RateLimited(sentence, retry_after_s=wait_s)
        case _C.CLOCK_SKEW:
            return ClockSkew(sentence, resynced=False)
        case _C.AUTH_PERMANENT:
            return AuthFailed(sentence)
        case _C.RETRY_BACKOFF if doing is Doing.READING:
            return Unreachable(ErrorKind.BUSY if verdict.status == 503 else ErrorKind.SERVER, sentence)
        case _C.RETRY_BACKOFF:
            return NotPlaced(ErrorKind.BUSY, sentence)
        case _C.UNKNOWN_STATUS if doing is Doing.READING:
            return Unreachable(ErrorKind.SERVER, sentence)
        case _C.UNKNOWN_STATUS:
            return OutcomeUnknown(ErrorKind.SERVER, sentence)
        case _C.DUPLICATE_CLIENT_ID:
            return OutcomeUnknown(ErrorKind.DUPLICATE_ID, sentence)
        case _C.STREAM_EXPIRED:
            return Unreachable(ErrorKind.SERVER, sentence)
        case _:
            return Rejected(verdict.refusal, sentence)


def _sentence(verdict: Verdict, what: str) -> str:
    said = verdict.text or "no reason given"
    code = "" if verdict.code is None else f" {verdict.code}"
    return f"Binance refused {what} with {verdict.status}{code}: {said}."


def _error_body(body: bytes) -> ErrorBody | None:
    try:
        return msgspec.json.decode(body, type=ErrorBody)
    except WIRE_ERRORS:
        return None


def _retry_after_s(answer: Answer) -> float | None:
    text = answer.headers.get("retry-after", "")
    known = text.isascii() and text.isdigit() and len(text) <= 9
    return min(float(text), MAX_BACK_OFF_S) if known else None


def _banned_until(text: str) -> datetime | None:
    found = _BANNED_UNTIL.search(text)
    try:
        return time_of(int(found[1])) if found else None
    except ImpossibleVenueData:
        return None


def _shown(text: str) -> str:
    return without_secrets(" ".join(text.split()))[:_TEXT_SHOWN].rstrip(".")
