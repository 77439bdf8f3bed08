"""What a Connection starts from and is told by its own calls, and what it needs of the venue behind it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import msgspec

from actors.messages import Message
from core.candles import Candle
from core.clock import Clock
from core.errors import Reason
from core.lookup import Absences
from core.order import Order
from core.quiet import Quiet
from core.run import Run
from core.timeframe import Timeframe
from exchanges.base import Exchange, FundingPaid, News, OrderReport
from schema.records import Account, OpenPosition

T = TypeVar("T")

SILENCE_S = 1.0
"""How old the re-read of switch, lease and order may be when the first byte leaves (I8)."""


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


class Permissions(msgspec.Struct, frozen=True):
    """The re-read before the first byte, for each order; None: send."""

    orders: tuple[Order, ...]
    refusals: Sequence[Reason | None]
    asked_at_s: float
    """Process time just before."""


class PermissionOutdated(Exception):
    """The process stood still between the re-read and the first byte; nothing was sent."""


class WhilePermitted(Coroutine[Any, Any, T]):
    """`request`, begun only while the re-read of `asked_at_s` (process time) still counts.

    Looked at where the first byte leaves: a process that was stopped after its re-read, and then goes on, may have
    lost its lease meanwhile, or the switch may have been set (I5, I8).
    """

    def __init__(self, request: Coroutine[Any, Any, T], clock: Clock, asked_at_s: float) -> None:
        self._request = request
        self._clock = clock
        self._asked_at_s = asked_at_s
        self._begun = False

    def send(self, value: Any) -> Any:
        self._begin()
        return self._request.send(value)

    def throw(self, *error: Any) -> Any:
        return self._request.throw(*error)

    def close(self) -> None:
        self._request.close()

    def __await__(self) -> Generator[Any, None, T]:
        self._begin()
        return self._request.__await__()

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self._clock.monotonic() - self._asked_at_s > SILENCE_S:
            self._request.close()
            raise PermissionOutdated


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
