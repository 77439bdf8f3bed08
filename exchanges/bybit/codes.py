"""What Bybit's codes mean: one class per code, and from the class what the caller may conclude.

Source: Bybit v5 API documentation, "Error Codes" and "Rate Limit Rules". `retCode` decides where it is known; the
HTTP status where the body says nothing known; the text only between the meanings of 10001.
"""

from __future__ import annotations

from typing import Final

import msgspec

from exchanges.error_class import ErrorClass
from exchanges.errors import Refusal

C = ErrorClass

_CODES: Final[dict[ErrorClass, tuple[int, ...]]] = {
    C.OK_ALREADY: (34040, 110025, 110026, 110027, 110043),
    C.RETRY_BACKOFF: (429, 110079),
    C.RATE_LIMIT: (10006,),
    C.CLOCK_SKEW: (-1, 10002),
    C.AUTH_PERMANENT: (-2015, 10003, 10004, 10005, 10007, 10010, 33004),
    C.UNKNOWN_STATUS: (10000, 10016, 110035),
    C.DUPLICATE_CLIENT_ID: (10014, 110072),
    C.ORDER_NOT_FOUND: (110001, 110008, 110010),
    C.INSUFFICIENT_MARGIN: (
        *(110004, 110006, 110007, 110012, 110014, 110044, 110045),
        *(110051, 110052, 110053, 110131),
    ),
    C.FILTER_VIOLATION: (30208, 30209, 110003, 110094, 110120, 110121),
    C.RISK_LIMIT: (
        *(110009, 110011, 110013, 110020, 110021, 110022, 110039, 110040, 110058, 110061),
        *(110085, 110086, 110087, 110089, 110090),
    ),
    C.REDUCE_ONLY_REJECTED: (110017,),
    C.REDUCE_ONLY_MODE: (30228, 110023, 110042, 110137),
    C.CONFIG_BLOCKED: (
        *(110015, 110024, 110028, 110029, 110036, 110038, 110041, 110054, 110055, 110056),
        *(110073, 110076, 110077, 3400045),
    ),
    C.WOULD_TRIGGER: (110092, 110093),
    C.ORDER_REJECTED: (110103, 110118, 110119),
    C.SYMBOL_UNAVAILABLE: (10029, 110063, 110070, 110074, 110095, 110132, 110136),
    C.ACCOUNT_RESTRICTED: (
        *(10008, 10009, 10024, 10027, 10028, 110066, 110069, 110080, 110102),
        *(110123, 110124, 110125),
    ),
    C.BAD_REQUEST: (
        *(10001, 10017, 110005, 110018, 110019, 110032, 110033, 110034, 110049, 110050),
        *(110057, 110059, 110060, 110098, 110108, 110109),
    ),
}
CLASS_OF: Final = {code: class_ for class_, codes in _CODES.items() for code in codes}

STREAM_CLASS_OF: Final = {
    10003: C.RATE_LIMIT,
    10016: C.UNKNOWN_STATUS,
    10019: C.RETRY_BACKOFF,
    10404: C.BAD_REQUEST,
    10429: C.RETRY_BACKOFF,
    20003: C.RATE_LIMIT,
    20006: C.BAD_REQUEST,
}
"""Orders over WebSocket; 10003 means another thing there than over REST."""

_GENERIC: Final = 10001
_TEXTS: Final = (
    ("position idx not match position mode", C.POSITION_MODE_MISMATCH),
    ("symbol is invalid", C.SYMBOL_UNAVAILABLE),
    ("symbol invalid", C.SYMBOL_UNAVAILABLE),
    ("not supported symbols", C.SYMBOL_UNAVAILABLE),
    ("base_price", C.WOULD_TRIGGER),
    ("qty invalid", C.FILTER_VIOLATION),
    ("minimum limit", C.FILTER_VIOLATION),
    ("maximum limit", C.FILTER_VIOLATION),
    ("price", C.FILTER_VIOLATION),
)
"""Which 10001 is meant; the first that is in the text."""

_HTTP: Final = {
    401: C.AUTH_PERMANENT,
    403: C.IP_BAN,
    404: C.BAD_REQUEST,
    408: C.UNKNOWN_STATUS,
    429: C.RETRY_BACKOFF,
}

_REFUSALS: Final = {
    C.INSUFFICIENT_MARGIN: Refusal.INSUFFICIENT_MARGIN,
    C.FILTER_VIOLATION: Refusal.PRICE,
    C.REDUCE_ONLY_REJECTED: Refusal.REDUCE_ONLY,
    C.REDUCE_ONLY_MODE: Refusal.RESTRICTED,
    C.POSITION_MODE_MISMATCH: Refusal.MODE,
    C.CONFIG_BLOCKED: Refusal.MODE,
    C.WOULD_TRIGGER: Refusal.WOULD_TRIGGER,
    C.SYMBOL_UNAVAILABLE: Refusal.UNKNOWN_SYMBOL,
    C.ACCOUNT_RESTRICTED: Refusal.RESTRICTED,
    C.BAD_REQUEST: Refusal.MALFORMED,
}
_REFUSAL_OF_CODE: Final = {
    110094: Refusal.MIN_NOTIONAL,
    110009: Refusal.TOO_MANY_ORDERS,
    110020: Refusal.TOO_MANY_ORDERS,
    110061: Refusal.TOO_MANY_ORDERS,
    110013: Refusal.LEVERAGE,
    110085: Refusal.LEVERAGE,
    110086: Refusal.LEVERAGE,
    110087: Refusal.LEVERAGE,
}
_REFUSAL_OF_TEXT: Final = (
    ("qty invalid", Refusal.STEP_SIZE),
    ("minimum limit", Refusal.MIN_QUANTITY),
    ("maximum limit", Refusal.MAX_QUANTITY),
)

REJECT_REASONS: Final = {
    "EC_PerCancelRequest": None,
    "EC_DuplicatedClOrdID": C.DUPLICATE_CLIENT_ID,
    "EC_OrderNotExist": C.ORDER_NOT_FOUND,
    "EC_TooLateToCancel": C.ORDER_NOT_FOUND,
    "EC_InvalidSymbolStatus": C.SYMBOL_UNAVAILABLE,
}
"""`rejectReason` of orders; none of these, nor empty: the order was rejected by the book or its terms."""
_NO_REASON: Final = frozenset({"", "EC_NoError"})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer that is no success means; `alert`: it is in no table."""

    class_: ErrorClass
    code: int | None
    text: str
    alert: bool = False

    @property
    def refusal(self) -> Refusal:
        """By which rule, where the class is a refusal."""
        if self.code in _REFUSAL_OF_CODE:
            return _REFUSAL_OF_CODE[self.code]
        if self.code == _GENERIC and self.class_ is C.FILTER_VIOLATION:
            text = self.text.lower()
            return next((refusal for part, refusal in _REFUSAL_OF_TEXT if part in text), Refusal.PRICE)
        return _REFUSALS.get(self.class_, Refusal.OTHER)


def verdict(status: int, code: int | None, text: str) -> Verdict | None:
    """What an answer means; None: success. `code` None: the body is no answer of Bybit's.

    A code outside the tables is a definite no on an answer below 500, and unknown above.
    """
    if code == 0 and status < 400:
        return None
    if code is not None and code != 0:
        known = CLASS_OF.get(code)
        if code == _GENERIC:
            lowered = text.lower()
            known = next((class_ for part, class_ in _TEXTS if part in lowered), known)
        if known is C.RATE_LIMIT and status == 403:  # "access too frequent": the address, not the account
            known = C.IP_BAN
        if known is not None:
            return Verdict(class_=known, code=code, text=text)
    if status >= 500:
        return Verdict(class_=C.UNKNOWN_STATUS, code=code, text=text, alert=bool(code))
    by_status = _HTTP.get(status)
    if by_status is not None:
        return Verdict(class_=by_status, code=code, text=text, alert=bool(code))
    if code is None:
        return Verdict(class_=C.UNKNOWN_STATUS, code=None, text=text, alert=status >= 400)
    return Verdict(class_=C.BAD_REQUEST, code=code, text=text, alert=True)


def reject_class(reason: str) -> ErrorClass | None:
    """The class of an order's `rejectReason`; None: it was not rejected."""
    return None if reason in _NO_REASON else REJECT_REASONS.get(reason, C.ORDER_REJECTED)
