"""What the parts of a live account are told by their own calls and timers."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from actors.messages import Message
from core.ids import RunId, UserId
from core.market import SymbolRules
from core.order import Order
from core.position import Position
from core.protection import Protection
from core.run import Run
from exchanges.base import Execution, FundingPaid, OrderReport, VenuePosition
from schema.records import OpenPosition


class LiveNews(msgspec.Struct, frozen=True):
    """Of a live account's parts alone."""


# -- the way there ------------------------------------------------------------------------------


class Connected(LiveNews, frozen=True):
    venue_now: datetime
    at: datetime


class ConnectFailed(LiveNews, frozen=True):
    error: Exception


class ConnectAgain(LiveNews, frozen=True):
    pass


class FollowEnded(LiveNews, frozen=True):
    """The private stream's coroutine is over, which it only is when the account is closed or we have a bug."""

    error: Exception | None


class FollowAgain(LiveNews, frozen=True):
    pass


class RulesRead(LiveNews, frozen=True):
    rules: tuple[SymbolRules, ...]


class Prepared(LiveNews, frozen=True):
    """The symbol is set as the order needs it."""

    order: Order


class PrepareFailed(LiveNews, frozen=True):
    order: Order
    error: Exception


# -- looking at the venue -----------------------------------------------------------------------


class CheckDue(LiveNews, frozen=True):
    """Time to see whether a look is due, and how the venue's clock goes."""


class LookDue(LiveNews, frozen=True):
    """Time to compare rows and venue."""


class DoubtDue(LiveNews, frozen=True):
    """What moved at the venue may have been our own doing: by now that is known."""


class OwnRows(LiveNews, frozen=True):
    """The account's rows: its runs, what they have open, orders without an end."""

    runs: tuple[Run, ...]
    positions: tuple[OpenPosition, ...]
    orders: tuple[Order, ...]


class VenueLook(LiveNews, frozen=True):
    """What the venue answered, all asked after `asked_at` (market time)."""

    asked_at: datetime
    venue_now: datetime
    executions: tuple[Execution, ...]
    funding: tuple[FundingPaid, ...]
    balance: Decimal
    positions: tuple[VenuePosition, ...]
    open_orders: tuple[OrderReport, ...]


class LookFailed(LiveNews, frozen=True):
    error: Exception


class LookSettled(Message, frozen=True, kw_only=True):
    """Behind everything the look told the ledger."""


class RowsAfter(LiveNews, frozen=True):
    """The rows once the look's news were settled."""

    positions: tuple[OpenPosition, ...]


# -- protection ---------------------------------------------------------------------------------


class PositionSettled(LiveNews, frozen=True):
    """A fill or funding of a run on this account is in the rows."""

    run_id: RunId
    user_id: UserId
    symbol: str
    position: Position
    wanted: Protection


class ProtectionStands(LiveNews, frozen=True):
    symbol: str
    wanted: Protection
    standing: Protection


class Swept(LiveNews, frozen=True):
    """Nothing of ours stands in a symbol in which nothing is open. `any_stood`: it did until now."""

    symbol: str
    any_stood: bool


class ProtectFailed(LiveNews, frozen=True):
    symbol: str
    wanted: Protection
    error: Exception


class ProtectAgain(LiveNews, frozen=True):
    symbol: str


# -- closing what cannot be protected -----------------------------------------------------------


class CloseDue(LiveNews, frozen=True):
    symbol: str


class CloseLease(LiveNews, frozen=True):
    """Answer to asking for the run's lease; None while a tick holds it."""

    symbol: str
    run_id: RunId
    fence: int | None


class Released(LiveNews, frozen=True):
    """The lease was given back, or will run out by itself."""
