"""What a Connection starts from and is told by its own calls, and what it needs of the venue behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from actors.messages import Message
from core.candles import Candle
from core.lookup import Absences
from core.order import Order
from core.quiet import Quiet
from core.run import Run
from core.timeframe import Timeframe
from exchanges.base import Exchange, FundingPaid, News, OrderReport
from schema.records import Account, OpenPosition


class VenueState(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of the account when the connection starts."""

    account: Account
    positions: tuple[OpenPosition, ...]
    open_orders: tuple[Order, ...]


class Restored(msgspec.Struct, frozen=True):
    """`runs`: whose symbols the account trades, where the venue pushes news of them."""

    state: VenueState | None
    runs: tuple[Run, ...] = ()


class RestoreFailed(msgspec.Struct, frozen=True):
    error: Exception


class RestoreAgain(Message, frozen=True, kw_only=True):
    """Time to read the rows: the wait after a failure is over, or the ledger has settled what was told before."""


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


class LookedUp(msgspec.Struct, frozen=True):
    look_up: LookUp
    report: OrderReport | None
    failed: bool = False


class NewsHeard(msgspec.Struct, frozen=True):
    """The venue pushed something."""


class PaperVenue(Exchange, Protocol):
    """A venue that is fed candles instead of pushing news by itself."""

    def apply_candle(self, symbol: str, candle: Candle, timeframe: Timeframe) -> None: ...

    def apply_funding(
        self, symbol: str, at: datetime, *, rate: Decimal, mark: Decimal
    ) -> FundingPaid | None: ...

    def following(self) -> Mapping[str, Quiet | None]:
        """Symbols with something open that candles can touch, and the prices at which they do not; None: at any."""
        ...


MakeVenue = Callable[[VenueState, Callable[[News], None]], PaperVenue]
