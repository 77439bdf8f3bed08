"""What an adapter raises, split by what the caller may conclude.

ExchangeError          nothing may be concluded beyond what the subclass says
├── NotPlaced          nothing was executed; a new attempt, with a new id, is allowed within its deadline
│   ├── NoPrice        paper only: no candle to fill at arrived in time
│   ├── Halted         our own breaker
│   ├── Withheld       the re-read before the first byte did not permit it
│   ├── RateLimited    quota used up: pause this scope, the account or the address, until it resets
│   ├── Banned         the address is blocked: stop every tenant on it
│   └── ClockSkew      the time stamp lay outside the window: resynchronise, then once more as a new attempt
├── Rejected           the venue's definite no; the same order would be refused again
│   └── AuthFailed     key, signature, address or permission
├── OutcomeUnknown     may have been executed: never send again, look it up by client order id (I4)
└── Unreachable        a read got no usable answer; it changed nothing and says nothing about the state

`kind` is a stable code for events and counters. `counts` says whether the adapter-error counter of the run goes
up (invariants §5): venue and network failures do, rate limits and a first, resynchronised clock error do not.
`alert`: the venue said what is in none of its tables, and an operator should see it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from core.errors import RunnerError


class ErrorKind(StrEnum):
    """Why a call failed."""

    CONNECTION = "connection"
    TIMEOUT = "timeout"
    SERVER = "server"
    UNPARSABLE = "unparsable"
    BUSY = "busy"
    NO_PRICE = "no_price"
    RATE_LIMIT = "rate_limit"
    BANNED = "banned"
    CLOCK = "clock"
    REJECTED = "rejected"
    AUTH = "auth"
    DUPLICATE_ID = "duplicate_id"
    BREAKER = "breaker"
    WITHHELD = "withheld"


class Refusal(StrEnum):
    """By which rule a venue refused an order: the filters by name, the account, or what it trades."""

    UNKNOWN_SYMBOL = "unknown_symbol"
    TICK_SIZE = "tick_size"
    STEP_SIZE = "step_size"
    MIN_QUANTITY = "min_quantity"
    MAX_QUANTITY = "max_quantity"
    MIN_NOTIONAL = "min_notional"
    PRICE = "price"
    LEVERAGE = "leverage"
    INSUFFICIENT_MARGIN = "insufficient_margin"
    REDUCE_ONLY = "reduce_only"
    UNSUPPORTED = "unsupported"
    TOO_MANY_ORDERS = "too_many_orders"
    WOULD_TRIGGER = "would_trigger"
    """A conditional price on the wrong side of the market: a stop whose level is passed."""
    MODE = "mode"
    """Position or margin mode of the account does not fit, or cannot change now."""
    RESTRICTED = "restricted"
    """The account or symbol may only reduce, or not trade at all."""
    MALFORMED = "malformed"
    """The request itself: a fault of ours."""
    OTHER = "other"


class ExchangeError(RunnerError):
    """A call to a venue that failed."""

    counts: bool = True
    alert: bool = False

    def __init__(self, kind: ErrorKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class NotPlaced(ExchangeError):
    """Nothing was executed."""


class NoPrice(NotPlaced):
    """No price to fill at: a failure of the market data, not of the run's connection (decision 22)."""

    counts = False

    def __init__(self, sentence: str) -> None:
        super().__init__(ErrorKind.NO_PRICE, sentence)


class Halted(NotPlaced):
    """The breaker has tripped: not a failure of the venue, and the run is being halted."""

    counts = False

    def __init__(self, sentence: str) -> None:
        super().__init__(ErrorKind.BREAKER, sentence)


class Withheld(NotPlaced):
    """Switch, lease or the order itself did not permit it any more; `reason` says which, or that nobody could tell."""

    counts = False

    def __init__(self, reason: str) -> None:
        super().__init__(ErrorKind.WITHHELD, f"Its first byte may not leave: {reason}.")
        self.reason = reason


class RateLimited(NotPlaced):
    """Quota used up; `retry_after_s` process seconds, as the venue says or the shared back-off decides."""

    counts = False

    def __init__(self, sentence: str, *, retry_after_s: float) -> None:
        super().__init__(ErrorKind.RATE_LIMIT, sentence)
        self.retry_after_s = retry_after_s


class Banned(NotPlaced):
    """The address is blocked until `until`, process time of the venue."""

    counts = False

    def __init__(self, sentence: str, *, until: datetime) -> None:
        super().__init__(ErrorKind.BANNED, sentence)
        self.until = until


class ClockSkew(NotPlaced):
    """The venue found the time stamp outside its window. `resynced`: the offset has been read anew since."""

    def __init__(self, sentence: str, *, resynced: bool) -> None:
        super().__init__(ErrorKind.CLOCK, sentence)
        self.resynced = resynced
        self.counts = not resynced


class Rejected(ExchangeError):
    """The venue's definite no, by a rule it named."""

    def __init__(self, refusal: Refusal, sentence: str, *, kind: ErrorKind = ErrorKind.REJECTED) -> None:
        super().__init__(kind, sentence)
        self.refusal = refusal


class AuthFailed(Rejected):
    """The key, its signature, address or permission was refused."""

    def __init__(self, sentence: str) -> None:
        super().__init__(Refusal.OTHER, sentence, kind=ErrorKind.AUTH)


class OutcomeUnknown(ExchangeError):
    """The order may or may not have been executed."""


class Unreachable(ExchangeError):
    """A read that got no usable answer."""
