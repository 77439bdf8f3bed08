"""Connection: one account at one venue. Sends committed orders, books what the venue says, follows its candles.

Before the first byte the kill switch, the lease and the order itself are re-read. Everything the venue reports goes
to the RiskLedger; what it did not answer is looked up until there is evidence, never sent again (I4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import msgspec

from actors.directory import tell
from actors.messages import (
    Barrier,
    CandleClosed,
    Reconciled,
    ReconcileRun,
    Record,
    SubmitOrder,
    SyncVenue,
    Unwatch,
    VenueSynced,
    Watch,
    run_name,
)
from actors.runtime.behaviour import Behaviour, Context
from core.backoff import Backoff
from core.errors import Reason
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.lookup import LOOK_EVERY_S, Absences, absent
from core.order import (
    Acknowledged,
    Canceled,
    Expired,
    NotPlaced,
    Order,
    OrderEvent,
    OrderStatus,
    OutcomeUnknown,
    Rejected,
)
from exchanges import errors as venue_errors
from exchanges.base import Exchange, Execution, FundingPaid, News, OrderNews, OrderReport
from schema.ops import LedgerOp, ObserveFill, ObserveFunding, ObserveOrder
from schema.records import Account, AccountKind, OpenPosition
from schema.store import Store

PLACE_TIMEOUT_S = 10.0
LOOK_UP_TIMEOUT_S = 10.0
MAX_STASHED = 1_000
RELOAD = Backoff(min_s=0.2, max_s=5.0)


class VenueState(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of the account when the connection starts."""

    account: Account
    positions: tuple[OpenPosition, ...]
    open_orders: tuple[Order, ...]


class Restored(msgspec.Struct, frozen=True):
    state: VenueState | None


class RestoreFailed(msgspec.Struct, frozen=True):
    error: Exception


class RestoreAgain(msgspec.Struct, frozen=True):
    """The wait after a failed restore is over."""


class Permission(msgspec.Struct, frozen=True):
    """The re-read before the first byte; `refusal` None: send."""

    order: Order
    refusal: Reason | None


class Placed(msgspec.Struct, frozen=True):
    order: Order
    report: OrderReport


class PlaceFailed(msgspec.Struct, frozen=True):
    order: Order
    error: Exception


class LookUp(msgspec.Struct, frozen=True):
    """Time to look for an order whose fate is open."""

    order: Order
    absences: Absences
    asked_by: RunId | None = None


class LookedUp(msgspec.Struct, frozen=True):
    look_up: LookUp
    report: OrderReport | None
    failed: bool = False


class CandleApplied(msgspec.Struct, frozen=True):
    symbol: str
    close_time: datetime


class Told(msgspec.Struct, frozen=True):
    """A venue call is over; `then` is what it was for."""

    then: object


Venue = Exchange
"""What a connection talks to; paper adapters also take candles (`PaperVenue`)."""
